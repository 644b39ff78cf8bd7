import { Readable } from 'node:stream';
import { type ColumnBatch, decodeCsv, encodeCsv } from '../batch/index.ts';
import type { BatchesChannel, BytesChannel, Channel, ReadCount, WireFormat } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { PlanStage } from '../plan/index.ts';

/** The formats at both ends of a stage, as they turn out when both are open. */
export interface OpenRoute {
  readonly read: WireFormat;
  readonly write: WireFormat;
  /** Why it is not as planned, where it is not. */
  readonly note: string | null;
}

const byCost: readonly WireFormat[] = ['pgcopy-binary', 'csv', 'batches'];

/**
 * An open source may offer less than the plan hoped for (an enum whose labels differ, an old server): then the next best way is
 * taken. `batches` is true where rows must be seen on their way. @throws UNSUPPORTED
 */
export function openRoute(stage: PlanStage, offers: readonly WireFormat[], accepts: readonly WireFormat[], batches: boolean): OpenRoute {
  const route = batches
    ? throughBatches(offers, accepts)
    : (asPlanned(stage, offers, accepts) ?? straight(offers, accepts) ?? throughBatches(offers, accepts));
  if (!route) {
    throw new MillraceError('UNSUPPORTED', {
      message: `Stage "${stage.id}" cannot be run: the source offers ${offers.join(', ') || 'nothing'}, the target takes ${accepts.join(', ')}, and there is no way between.`,
      remedy: 'Load into files first, and from there into the target.',
      facts: { stage: stage.id, offers, accepts },
    });
  }
  const planned = route.read === stage.read && route.write === stage.write;
  return {
    ...route,
    note: planned ? null : `reads ${route.read} and writes ${route.write}, where the plan has ${stage.read} and ${stage.write}`,
  };
}

type Ends = Pick<OpenRoute, 'read' | 'write'>;

function asPlanned({ read, write }: PlanStage, offers: readonly WireFormat[], accepts: readonly WireFormat[]): Ends | undefined {
  return read && write && read === write && offers.includes(read) && accepts.includes(write) ? { read, write } : undefined;
}

function straight(offers: readonly WireFormat[], accepts: readonly WireFormat[]): Ends | undefined {
  const format = byCost.find((candidate) => offers.includes(candidate) && accepts.includes(candidate));
  return format && { read: format, write: format };
}

function throughBatches(offers: readonly WireFormat[], accepts: readonly WireFormat[]): Ends | undefined {
  const convertible: readonly WireFormat[] = ['batches', 'csv'];
  const read = convertible.find((format) => offers.includes(format));
  const write = convertible.find((format) => accepts.includes(format));
  return read && write && { read, write };
}

/** The rows of a channel as batches. */
export async function* batchesOf(channel: Channel): AsyncGenerator<ColumnBatch, void, undefined> {
  if (channel.format === 'batches') return yield* channel.batches;
  let rows = 0;
  for await (const batch of decodeCsv(channel.schema, channel.stream)) {
    rows += batch.rowCount;
    yield batch;
  }
  const said = await channel.done;
  if (said.rows === rows) return;
  throw new MillraceError('WIRE_CORRUPT', {
    message: `The source says that it sent ${said.rows} rows, and ${rows} have come.`,
    remedy: 'The split is read again. If it happens each time, please report it.',
    facts: { sent: said.rows, received: rows },
  });
}

/** Batches in the format that the sink takes. */
export function channelOf(batches: BatchesChannel, format: WireFormat): Channel {
  return format === 'batches' ? batches : csvChannel(batches);
}

function csvChannel({ schema, batches }: BatchesChannel): BytesChannel {
  let settle: (count: ReadCount) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const done = new Promise<ReadCount>((resolve, reject) => {
    settle = resolve;
    fail = reject;
  });
  done.catch(() => {}); // whoever reads the stream sees the same error there
  async function* bytes(): AsyncGenerator<Buffer, void, undefined> {
    let rows = 0;
    async function* counted(): AsyncGenerator<ColumnBatch, void, undefined> {
      for await (const batch of batches) {
        rows += batch.rowCount;
        yield batch;
      }
    }
    try {
      yield* encodeCsv(schema, counted());
      settle({ rows });
    } catch (error) {
      fail(error);
      throw error;
    }
  }
  return { format: 'csv', schema, stream: Readable.from(bytes(), { objectMode: false, highWaterMark: 256 * 1024 }), done };
}

import { pipeline } from 'node:stream/promises';
import {
  type BatchesChannel,
  type ColumnBatch,
  encodeCsv,
  isMillraceError,
  type MillraceError,
  type RowSchema,
  rowJson,
  sliceRows,
} from '@millrace/core/runtime';
import { binaryEncoder } from '../binary/encode.ts';
import { formOf } from '../binary/form.ts';
import { type Copied, type CopyInto, copyText, type Rejecting, sameCount } from './copy-into.ts';

/**
 * Batches in one COPY: in binary form where every type has one that is the same on each server, else as CSV. Values that came as text mostly
 * go on as CSV too: its bytes are there already, and each number in binary would have to be made.
 */
export async function copyBatches(
  into: CopyInto,
  schema: RowSchema,
  batches: AsyncIterable<ColumnBatch> | Iterable<ColumnBatch>,
  canBeBinary = schema.columns.every(({ type }) => formOf(type) === 'native'),
): Promise<Copied> {
  const rest = Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]();
  const first = await rest.next();
  const binary = canBeBinary && !(first.done !== true && isMostlyText(first.value));
  const copy = into.session.copyIn(copyText(into.table, schema, binary ? 'binary' : 'csv'), into.object);
  let sent = 0;
  let bytes = 0;
  async function* counted(): AsyncGenerator<ColumnBatch> {
    try {
      for (let next = first; next.done !== true; next = await rest.next()) {
        yield next.value;
        sent += next.value.rowCount;
        into.progress({ rows: next.value.rowCount });
      }
    } finally {
      await rest.return?.();
    }
  }
  async function* encoded(): AsyncGenerator<Buffer> {
    for await (const chunk of binary ? encodeBinary(schema, counted()) : encodeCsv(schema, counted())) {
      bytes += chunk.length;
      into.progress({ bytes: chunk.length });
      yield chunk;
    }
  }
  await pipeline(encoded(), copy.stream);
  const { rows } = await copy.done;
  sameCount(into, sent, rows);
  return { rows, bytes, rejected: 0 };
}

const isMostlyText = ({ vectors }: ColumnBatch): boolean =>
  vectors.filter(({ encoded }) => encoded?.encoding === 'text').length > vectors.length / 2;

async function* encodeBinary(schema: RowSchema, batches: AsyncIterable<ColumnBatch>): AsyncGenerator<Buffer> {
  const encoder = binaryEncoder(schema.columns);
  yield encoder.header;
  for await (const batch of batches) yield* encoder.encode(batch);
  yield encoder.trailer;
}

/**
 * Batches in a COPY each, so that one the server refuses can be taken apart: the rows around the bad one are copied, the bad one is
 * set aside. A row is bad only where it was refused alone.
 */
export async function copyChecked(into: CopyInto, channel: BatchesChannel, rejecting: Rejecting): Promise<Copied> {
  let rows = 0;
  let bytes = 0;
  let first = 0;
  let rejected = 0;
  for await (const batch of channel.batches) {
    const landed: number[] = [];
    const refuse = (row: number, error: MillraceError): void => {
      rejected += 1;
      rejecting.reject({ split: rejecting.split, ordinal: first + row, row: rowJson(batch, row), error });
    };
    /** Spans still to copy, the next one last. */
    const spans: Span[] = [{ from: 0, to: batch.rowCount }];
    for (let span = spans.pop(); span; span = spans.pop()) {
      const outcome = await tryCopy(into, sliceRows(batch, span.from, span.to));
      if (outcome.at === 'copied') {
        rows += outcome.copied.rows;
        bytes += outcome.copied.bytes;
        for (let row = span.from; row < span.to; row++) landed.push(row);
      } else if (span.to - span.from === 1) {
        refuse(span.from, outcome.error);
      } else {
        spans.push(...apart(span, outcome.error).reverse());
      }
    }
    for (const { place, error } of (await rejecting.strays?.()) ?? []) {
      rows -= 1;
      refuse(landed[place] ?? 0, error);
    }
    first += batch.rowCount;
  }
  return { rows, bytes, rejected };
}

interface Span {
  readonly from: number;
  readonly to: number;
}

type Outcome = { readonly at: 'copied'; readonly copied: Copied } | { readonly at: 'refused'; readonly error: MillraceError };

async function tryCopy(into: CopyInto, batch: ColumnBatch): Promise<Outcome> {
  if (batch.rowCount === 0) return { at: 'copied', copied: { rows: 0, bytes: 0, rejected: 0 } };
  const { session } = into;
  await session.execute('SAVEPOINT batch');
  try {
    const copied = await copyBatches({ ...into, progress: () => {} }, batch.schema, [batch]);
    into.progress({ rows: copied.rows, bytes: copied.bytes });
    await session.execute('RELEASE SAVEPOINT batch');
    return { at: 'copied', copied };
  } catch (error) {
    if (!isMillraceError(error) || !isRowFault(error)) throw error;
    await session.execute('ROLLBACK TO SAVEPOINT batch');
    return { at: 'refused', error };
  }
}

/** The row is at fault, not the statement, the server or the way to it: SQLSTATE classes 22 and 23, and values that no encoder takes. */
function isRowFault(error: MillraceError): boolean {
  return error.code === 'TYPE_MISMATCH' || error.code === 'VALUE_UNREPRESENTABLE';
}

/** Postgres mostly says at which line it stopped: around that row, else in the middle. A wrong line costs a few copies, no row. */
function apart({ from, to }: Span, error: MillraceError): Span[] {
  const line = Number(/ line (\d+)\D/.exec(error.message.slice(error.message.lastIndexOf('(COPY ')))?.[1] ?? 0);
  const row = from + line - 1;
  if (line > 0 && row < to)
    return [
      { from, to: row },
      { from: row, to: row + 1 },
      { from: row + 1, to },
    ].filter((span) => span.to > span.from);
  const middle = from + Math.floor((to - from) / 2);
  return [
    { from, to: middle },
    { from: middle, to },
  ];
}

import {
  type Channel,
  type Checkpoint,
  type ColumnBatch,
  type Context,
  type Fence,
  inColumn,
  type LoadOwner,
  type LoadSession,
  type LoadSpec,
  MillraceError,
  type Receipt,
  rowJson,
  type Sink,
  type Split,
  type StagedPart,
} from '@millrace/core/runtime';
import { attributeWriter, numberText } from './attribute.ts';
import type { DynamoService } from './client.ts';
import { describeTable } from './describe.ts';
import { assertFits } from './item-size.ts';
import type { ItemsSettings } from './items-target.ts';
import { Ledger, type LedgerEntry } from './ledger.ts';
import { Pace } from './pace.ts';
import { batchSize, type Item, putBatch, putStamped, type Writing } from './put-items.ts';

/** Items are there as soon as they are put: a load can be repeated, not taken back. */
export class ItemsSink implements Sink {
  readonly #service: DynamoService;
  readonly #settings: ItemsSettings;
  readonly #context: Context;
  readonly #ledger: Ledger;

  constructor(service: DynamoService, settings: ItemsSettings, context: Context) {
    this.#service = service;
    this.#settings = settings;
    this.#context = context;
    this.#ledger = new Ledger(service, settings.ledger, context);
  }

  async checkpoint(owner: LoadOwner): Promise<Checkpoint | null> {
    return (await this.#ledger.read(owner)).checkpoint;
  }

  async begin(load: LoadSpec, fence: Fence): Promise<LoadSession> {
    const { table, writeUnits } = this.#settings;
    await describeTable(this.#service, table, this.#context);
    const entry = await this.#ledger.take(load.owner, fence, load.runAt);
    if (!entry.receipts.some(({ loadId }) => loadId === load.id)) assertFollows(load, entry.checkpoint);
    const pace = writeUnits === null ? null : new Pace(writeUnits, () => this.#context.now().getTime());
    const writing = { service: this.#service, table: table.name, context: this.#context, pace };
    return new ItemsSession({ settings: this.#settings, ledger: this.#ledger, load, fence, entry, writing });
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Before anything is put, since that stays. @throws CHECKPOINT_MOVED */
function assertFollows({ id, owner, window, fullRefresh }: LoadSpec, checkpoint: Checkpoint | null): void {
  const before = checkpoint?.window?.high ?? null;
  if (!window || fullRefresh || before === window.low) return;
  throw new MillraceError('CHECKPOINT_MOVED', {
    message: `The checkpoint of "${owner.step}" is at ${before ?? 'the beginning'}, and this load begins at ${window.low ?? 'the beginning'}.`,
    remedy: 'A later run has loaded these rows. Cancel this run; nothing is missing.',
    facts: { load: id },
  });
}

interface OpenSession {
  readonly settings: ItemsSettings;
  readonly ledger: Ledger;
  readonly load: LoadSpec;
  readonly fence: Fence;
  readonly entry: LedgerEntry;
  readonly writing: Writing;
}

class ItemsSession implements LoadSession {
  readonly applied: Receipt | null;
  readonly #open: OpenSession;
  readonly #stamp: string;

  constructor(open: OpenSession) {
    this.#open = open;
    this.applied = open.entry.receipts.find(({ loadId }) => loadId === open.load.id) ?? null;
    // Text order is the order of runs, and of the attempts at one.
    this.#stamp = `${open.load.runAt}#${String(open.fence.epoch).padStart(16, '0')}`;
  }

  async stage(split: Split, channel: Channel): Promise<StagedPart> {
    if (channel.format !== 'batches')
      throw new MillraceError('INTERNAL', { message: `Items cannot be made of ${channel.format}.`, remedy: 'Please report it.' });
    const { context } = this.#open.writing;
    let [rows, later, ordinal] = [0, 0, 0];
    for await (const batch of channel.batches) {
      context.signal.throwIfAborted();
      const items = this.#itemsOf(split, batch, ordinal);
      ordinal += batch.rowCount;
      rows += items.length;
      later += await this.#put(items);
      context.progress({ rows: batch.rowCount });
    }
    if (later > 0)
      context.log.warn(`${later} items of "${this.#open.settings.table.name}" are of a later load already, and stay as they are`);
    return { split: split.id, rows, bytes: 0, detail: { later } };
  }

  async commit(parts: readonly StagedPart[], checkpoint: Checkpoint): Promise<Receipt> {
    const { ledger, load, fence, entry } = this.#open;
    const receipt: Receipt = { loadId: load.id, rows: parts.reduce((sum, { rows }) => sum + rows, 0), bytes: 0, checkpoint };
    await ledger.settle(load.owner, fence, { receipts: [...entry.receipts, receipt], checkpoint });
    return receipt;
  }

  /** What was put stays: it is what the rows are, and is put again. */
  async abort(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  #itemsOf(split: Split, batch: ColumnBatch, firstOrdinal: number): Item[] {
    const { settings, load } = this.#open;
    const writers = batch.schema.columns.map((column) => ({ name: column.name, write: attributeWriter(column) }));
    const items: Item[] = [];
    for (let row = 0; row < batch.rowCount; row++) {
      try {
        const item: Item = {};
        for (const [place, { name, write }] of writers.entries()) {
          const value = valueAt(batch, place, row);
          if (value !== null) item[name] = write(value);
        }
        assertFits(item, settings.table.key ?? []);
        if (settings.stamp !== null) item[settings.stamp] = { S: this.#stamp };
        items.push(item);
      } catch (error) {
        if (!load.reject || !(error instanceof MillraceError)) throw error;
        load.reject({ split: split.id, ordinal: firstOrdinal + row, row: rowJson(batch, row), error });
      }
    }
    return items;
  }

  /** Answers how many a later load has written already. */
  async #put(items: readonly Item[]): Promise<number> {
    const { settings, writing, ledger, load, fence } = this.#open;
    const { stamp, concurrency } = settings;
    const distinct = lastOfEach(items, settings.table.key ?? []);
    let later = 0;
    if (stamp !== null) {
      await inLanes(distinct, concurrency, async (item) => {
        if (!(await putStamped(writing, item, stamp))) later++;
      });
      return later;
    }
    const requests = Array.from({ length: Math.ceil(distinct.length / batchSize) }, (_, at) =>
      distinct.slice(at * batchSize, (at + 1) * batchSize),
    );
    await ledger.check(load.owner, fence);
    await inLanes(requests, concurrency, (some) => putBatch(writing, some));
    return 0;
  }
}

function valueAt({ schema, vectors }: ColumnBatch, place: number, row: number): unknown {
  try {
    return vectors[place]!.get(row);
  } catch (error) {
    throw inColumn(schema.columns[place]!.name, error);
  }
}

/** One request must not have a key twice, and the last one counts. */
function lastOfEach(items: readonly Item[], key: readonly string[]): Item[] {
  const byKey = new Map<string, Item>();
  for (const item of items) byKey.set(JSON.stringify(key.map((name) => shown(item[name]))), item);
  return [...byKey.values()];
}

function shown(attribute: Item[string] | undefined): unknown {
  if (attribute?.B) return Buffer.from(attribute.B).toString('base64');
  return attribute?.N === undefined ? attribute : { N: numberText(attribute.N) };
}

/** Each lane does one after the other. After a failure none begins anything more, and what is on its way is waited for. */
async function inLanes<Work>(work: readonly Work[], lanes: number, act: (one: Work) => Promise<void>): Promise<void> {
  const left = work.values();
  let isBroken = false;
  const lane = async (): Promise<void> => {
    for (const one of left) {
      if (isBroken) return;
      await act(one).catch((error: unknown) => {
        isBroken = true;
        throw error;
      });
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.min(lanes, work.length) }, lane));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

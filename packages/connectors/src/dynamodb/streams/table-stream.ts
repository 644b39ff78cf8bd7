import type { Context } from '@millrace/core/runtime';
import type { StreamsService } from './client.ts';
import { ShardReader, type ShardRecord } from './read-shard.ts';
import { end, gone, moved, type Reached, readable, remembered, type Shard, shardsOf } from './shards.ts';

/** Shards are listed so often where none of them ends. */
const listEveryMs = 10_000;
/** So many shards are asked at the same time, of all tables together: each answers up to 1 MB. */
const shardsAtOnce = 16;
/** After so many bytes, of all tables together, a turn is over, and the next one begins with the shard after. */
const turnBytes = 8 * 1024 * 1024;
/** A page with fewer records was the last for now. DynamoDB refuses more than five looks a second at a shard. */
const fullPage = 100;
/** So many empty pages one after the other, and a shard counts as read to where it is. DynamoDB does not say; some come in the middle too. */
const emptyPages = 4;

interface Reading {
  readonly shard: Shard;
  readonly reader: ShardReader;
  empty: number;
  /** Everything that was there at this time has been read. */
  covered: number;
  /** It is not looked at before. */
  notBefore: number;
}

export interface TableStreamOptions {
  readonly arn: string;
  readonly reached: Reached;
  /** How many tables are read side by side. */
  readonly tables: number;
  readonly pollMs: number;
  readonly context: Context;
}

/** The stream of one table, read on from where it was left: all shards that may be read, turn by turn. */
export class TableStream {
  readonly #service: StreamsService;
  readonly #arn: string;
  readonly #context: Context;
  readonly #tables: number;
  readonly #pollMs: number;
  readonly #readings = new Map<string, Reading>();
  #shards: readonly Shard[] = [];
  #listedAt = 0;
  #turns = 0;
  #reached: Reached;

  constructor(service: StreamsService, { arn, reached, tables, pollMs, context }: TableStreamOptions) {
    this.#service = service;
    this.#arn = arn;
    this.#context = context;
    this.#reached = reached;
    this.#tables = tables;
    this.#pollMs = pollMs;
  }

  get reached(): Reached {
    return this.#reached;
  }

  /** Everything that was there at this time has been read; 0 where that is not known. New shards come only from those that have ended. */
  covered(now: number): number {
    if (this.#listedAt === 0) return 0;
    const open = readable(this.#shards, this.#reached, this.#arn);
    return Math.min(now, ...open.map(({ id }) => this.#readings.get(id)?.covered ?? 0));
  }

  /** A page of each shard that is due; where pages are large, of some. */
  async turn(): Promise<ShardRecord[]> {
    const now = this.#context.now().getTime();
    if (now - this.#listedAt >= listEveryMs) await this.#list(now);
    const open = readable(this.#shards, this.#reached, this.#arn).filter(({ id }) => (this.#readings.get(id)?.notBefore ?? 0) <= now);
    const atOnce = Math.max(1, Math.floor(shardsAtOnce / this.#tables));
    const first = this.#turns % Math.max(open.length, 1);
    const inTurn = [...open.slice(first), ...open.slice(0, first)];
    const came: ShardRecord[] = [];
    for (let [from, bytes] = [0, 0]; from < inTurn.length && bytes < turnBytes / this.#tables; from += atOnce) {
      const some = inTurn.slice(from, from + atOnce);
      this.#turns += some.length;
      const pages = await Promise.all(some.map((shard) => this.#page(shard, now)));
      if (pages.some(({ isOver }) => isOver)) this.#listedAt = 0; // its children are read next
      for (const [place, { records }] of pages.entries()) {
        for (const record of records) {
          came.push({ shard: (some[place] as Shard).id, record });
          bytes += Number(record.dynamodb?.SizeBytes ?? 0);
        }
      }
    }
    return came;
  }

  /** Records that were read between two places, as `between` gives them. */
  ordered<One extends ShardRecord>(records: readonly One[], from: Reached, to: Reached): One[] {
    return moved(this.#shards, from, to).flatMap((id) => records.filter(({ shard }) => shard === id));
  }

  /** How far it has come since then, as it is to be remembered. */
  reachedSince(before: Reached): Reached {
    return remembered(this.#shards, before, this.#reached);
  }

  async #list(now: number): Promise<void> {
    this.#shards = await shardsOf(this.#service, this.#arn, this.#context);
    this.#listedAt = now;
  }

  async #page(shard: Shard, turn: number) {
    const reading = this.#readings.get(shard.id) ?? {
      shard,
      reader: new ShardReader(this.#service, this.#arn, shard, this.#reached[shard.id] ?? null),
      empty: 0,
      covered: 0,
      notBefore: 0,
    };
    this.#readings.set(shard.id, reading);
    const asked = this.#context.now().getTime();
    const page = await reading.reader.next(this.#context);
    const { SequenceNumber: last, ApproximateCreationDateTime: made } = page.records.at(-1)?.dynamodb ?? {};
    reading.empty = page.records.length === 0 ? reading.empty + 1 : 0;
    if (page.records.length < fullPage) reading.notBefore = turn + this.#pollMs;
    // A shard is in the order of time, which is told in seconds.
    reading.covered = Math.max(reading.covered, reading.empty >= emptyPages ? asked : Math.min(made?.getTime() ?? 0, asked));
    const at = page.isOver ? end : (last ?? this.#reached[shard.id] ?? null);
    this.#reached = { ...this.#reached, [shard.id]: at };
    if (page.isOver) this.#readings.delete(shard.id);
    return page;
  }
}

/** What one table's stream had between two places, in an order that is the same each time. */
export async function* between(
  service: StreamsService,
  arn: string,
  [from, to]: readonly [Reached, Reached],
  context: Context,
): AsyncGenerator<ShardRecord> {
  if (Object.keys(to).every((id) => to[id] === (from[id] ?? null))) return;
  const shards = await shardsOf(service, arn, context);
  for (const id of moved(shards, from, to)) {
    const shard = shards.find((one) => one.id === id);
    if (!shard) throw gone(`shard ${id} of ${arn} is there no more, and some target does not have its changes`);
    const reader = new ShardReader(service, arn, shard, from[id] ?? null);
    const last = to[id];
    for (let isDone = false; !isDone; ) {
      const { records, isOver } = await reader.next(context);
      const until = last === end ? -1 : records.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === last);
      if (until < 0 && last !== end && records.some(({ dynamodb }) => BigInt(dynamodb?.SequenceNumber ?? 0) > BigInt(last ?? 0)))
        throw gone(`the change ${last} of shard ${id} was trimmed, and some target does not have it`);
      for (const record of until < 0 ? records : records.slice(0, until + 1)) yield { shard: id, record };
      isDone = until >= 0 || isOver;
    }
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import type {
  ChangeGroup,
  ChangeSource,
  Position,
  ReadChanges,
  StreamHealth,
  StreamIdentity,
  StreamStatus,
  TableSnapshot,
} from '@millrace/core/runtime';
import type { DynamoService } from '../client.ts';
import { scanOf } from '../scan.ts';
import { groupOf } from './group.ts';
import type { Head, Vector } from './journal.ts';
import { placeOf, positionAt } from './place.ts';
import { declared, type ReplayParts, replay, type StreamOf } from './replay.ts';
import { beginningOf, gone, shardsOf } from './shards.ts';
import { TableStream } from './table-stream.ts';
import { Uncut } from './uncut.ts';

/** Where nothing comes, the place moves so often. */
const quietMs = 10_000;

export interface SourceParts extends ReplayParts {
  readonly dynamo: DynamoService;
  readonly pollMs: number;
}

/** Streams of several tables as one stream of changes: what is in it, and in which order, is what the journal says. */
export class StreamsSource implements ChangeSource {
  readonly #parts: SourceParts;
  #head: Head | null = null;
  /** The head is written by one at a time: each of them knows what the one before has made of it. */
  #writing: Promise<unknown> = Promise.resolve();
  #owned: Promise<void> | null = null;
  #nudgedAt: number | null = null;
  /** Where looks at tables are that go on meanwhile: what comes after is not forgotten. */
  readonly #held = new Set<{ at: Position }>();

  constructor(parts: SourceParts) {
    this.#parts = parts;
  }

  async stream(): Promise<StreamStatus | null> {
    const head = await this.#parts.journal.head();
    if (!head) return null;
    this.#head = head;
    this.#assertSame(head);
    const { covered } = placeOf(head.last);
    const end = positionAt({ covered: Math.max(covered, this.#now()), number: placeOf(head.last).number + 1 });
    return { identity: this.#identity(head.origin), confirmed: head.released, end };
  }

  async create() {
    const { journal, tables, streams, context } = this.#parts;
    const covered = this.#now();
    const vector: Record<string, Vector[string]> = {};
    for (const [name, { arn }] of Object.entries(tables)) vector[name] = beginningOf(await shardsOf(streams, arn, context), covered);
    const earlier = await journal.head();
    const origin = positionAt({ covered, number: earlier ? placeOf(earlier.last).number + 1 : 1 });
    const arns = Object.fromEntries(Object.entries(tables).map(([name, { arn }]) => [name, arn]));
    const head: Head = { arns, origin, last: origin, released: origin };
    await journal.begin(head, vector, earlier);
    this.#head = head;
    this.#owned = Promise.resolve();
    return { identity: this.#identity(origin), snapshot: this.#snapshotAt(origin, Object.keys(tables)) };
  }

  async snapshot(names: readonly string[]): Promise<TableSnapshot> {
    await this.#own();
    return this.#snapshotAt((this.#head as Head).last, names);
  }

  read(after: Position, options: ReadChanges): AsyncIterable<ChangeGroup> {
    return this.#groups(after, options);
  }

  release(position: Position): void {
    const to = [...this.#held].reduce((least, { at }) => (at < least ? at : least), position);
    void this.#write(async (head) => (to > head.released ? this.#parts.journal.release(head, to) : head)).catch((error: unknown) => {
      this.#parts.context.log.warn(`the journal could not be shortened: ${error instanceof Error ? error.message : String(error)}`);
    });
  }

  /** The place moves by itself, and now as soon as everything until now was read. */
  async nudge(): Promise<void> {
    this.#nudgedAt = this.#now();
  }

  async health(): Promise<StreamHealth> {
    const behind = this.#head ? this.#now() - placeOf(this.#head.released).covered : 0;
    const hours = behind / 3_600_000;
    return {
      slot: this.#parts.journal.name,
      state: hours > 24 ? 'lost' : 'reserved',
      retainedBytes: 0,
      budgetBytes: null,
      lagBytes: 0,
      growthPerSecond: 0,
      spooledBytes: 0,
      warnings: hours > 12 ? [`It is ${hours.toFixed(1)} hours behind, and DynamoDB keeps changes for 24.`] : [],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  #write(work: (head: Head) => Promise<Head>): Promise<void> {
    const mine = this.#writing.then(async () => {
      this.#head = await work(this.#head as Head);
    });
    this.#writing = mine.catch(() => {});
    return mine;
  }

  #now(): number {
    return this.#parts.context.now().getTime();
  }

  #identity(origin: Position): StreamIdentity {
    // arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000: which tables it follows may change.
    const [arn = ''] = Object.values(this.#parts.tables).map(({ arn }) => arn);
    return { source: arn.split(':').slice(2, 5).join(':'), slot: this.#parts.journal.name, origin };
  }

  #assertSame({ arns }: Head): void {
    for (const [name, arn] of Object.entries(arns)) {
      const now = this.#parts.tables[name]?.arn;
      if (now !== undefined && now !== arn)
        throw gone(`"${name}" has another stream now (${now}) than the one that was followed (${arn}); what came between is in neither`);
    }
  }

  /** From here on the journal is this attempt's. Tables that it does not follow yet are followed from its last place on. */
  #own(): Promise<void> {
    this.#owned ??= this.#write(async () => {
      const { journal, tables, streams, context } = this.#parts;
      if ((await journal.head()) === null) throw gone('nobody remembers how far it was read');
      const head = await journal.take();
      this.#assertSame(head);
      const vector = await journal.vector(head.last);
      if (vector === null) throw gone(`the journal does not say how far ${head.last} is`);
      const arns = Object.fromEntries(Object.entries(tables).map(([name, { arn }]) => [name, arn]));
      const more = Object.keys(tables).filter((name) => vector[name] === undefined || head.arns[name] === undefined);
      if (more.length === 0 && Object.keys(head.arns).length === Object.keys(arns).length) return head;
      const begun = await Promise.all(
        more.map(async (name) => [name, beginningOf(await shardsOf(streams, arns[name] as string, context), this.#now())] as const),
      );
      return journal.adopt({ ...head, arns }, { ...vector, ...Object.fromEntries(begun) });
    });
    return this.#owned;
  }

  #snapshotAt(position: Position, names: readonly string[]): TableSnapshot {
    const { tables, dynamo, context } = this.#parts;
    const held = { at: position };
    this.#held.add(held);
    return {
      position,
      table: async (name) => {
        const { table } = tables[name] as StreamOf;
        return scanOf({ kind: 'connection', connector: 'dynamodb', label: 'DynamoDB', examine: async () => [] }, dynamo, table, {
          consistent: true,
        }).open(context);
      },
      read: (options) => this.#cutAlready(held, names, options),
      [Symbol.asyncDispose]: async () => {
        this.#held.delete(held);
      },
    };
  }

  /** Groups that the main reader has cut, as they come. */
  async *#cutAlready(
    held: { at: Position },
    names: readonly string[],
    { signal, until }: ReadChanges,
  ): AsyncGenerator<ChangeGroup, void, undefined> {
    while (!signal.aborted) {
      if (held.at < (this.#head as Head).last) {
        const group = await replay(this.#parts, held.at, names);
        yield group;
        held.at = group.position();
      } else await sleep(this.#parts.pollMs, undefined, { signal }).catch(() => {});
      if (until !== undefined && held.at >= until) return;
    }
  }

  async *#groups(after: Position, { signal, until }: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
    const { journal, tables, streams, context, pollMs } = this.#parts;
    await this.#own();
    let at = after;
    const isDone = () => signal.aborted || (until !== undefined && at >= until);
    while (!isDone() && at < (this.#head as Head).last) {
      const group = await replay(this.#parts, at, Object.keys(tables));
      yield group;
      at = group.position();
    }
    if (isDone()) return;
    let vector = await journal.vector(at);
    if (vector === null) throw gone(`the journal does not say how far ${at} is`);
    const readers = new Map<string, TableStream>();
    for (const [name, { arn }] of Object.entries(tables)) {
      const options = { arn, reached: vector[name] ?? {}, tables: Object.keys(tables).length, pollMs, context };
      readers.set(name, new TableStream(streams, options));
    }
    let [uncut, cutAt] = [new Uncut(), this.#now()];
    while (!isDone()) {
      const turns = await Promise.all([...readers].map(async ([table, reader]) => (await reader.turn()).map((one) => ({ ...one, table }))));
      const came = turns.flat();
      const now = this.#now();
      uncut.add(came, now);
      const place = placeOf(at);
      const covered = Math.max(place.covered, Math.min(...[...readers.values()].map((reader) => reader.covered(now))));
      const wanted = Math.min(
        this.#nudgedAt ?? Number.POSITIVE_INFINITY,
        until === undefined ? Number.POSITIVE_INFINITY : placeOf(until).covered,
      );
      const isQuiet = came.length === 0 && (uncut.hasWaited(pollMs, now) || now - cutAt >= quietMs || covered >= wanted);
      if (!uncut.isFull(now) && !isQuiet) {
        if (came.length === 0) await sleep(pollMs, undefined, { signal }).catch(() => {});
        continue;
      }
      const to = positionAt({ covered, number: place.number + 1 });
      const before: Vector = vector;
      const next = Object.fromEntries([...readers].map(([name, reader]) => [name, reader.reachedSince(before[name] ?? {})]));
      const ordered = [...readers].flatMap(([name, reader]) =>
        reader.ordered(
          uncut.changes.filter(({ table }) => table === name),
          before[name] ?? {},
          next[name] ?? {},
        ),
      );
      await this.#write((head) => journal.cut(head, to, next));
      if (this.#nudgedAt !== null && covered >= this.#nudgedAt) this.#nudgedAt = null;
      yield groupOf(ordered, declared(tables), at, to, uncut.bytes);
      [at, vector, uncut, cutAt] = [to, next, new Uncut(), now];
    }
  }
}

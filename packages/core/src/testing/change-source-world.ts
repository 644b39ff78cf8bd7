import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type {
  CaptureSource,
  ChangeGroup,
  ChangeSink,
  ChangeSource,
  Context,
  Position,
  ReadChanges,
  TableSnapshot,
} from '../connector/index.ts';
import type { Table } from '../schema/index.ts';
import { testContext } from './context.ts';
import { type LoggedTransaction, type MemoryDatabase, plainState, type Statement } from './memory-database.ts';
import { type MemoryMirror, memoryApply, memoryMirror, mirrorState } from './memory-mirror.ts';
import { Choices, seeded, type WorkloadOptions, workloadDatabase, workloadTables, workTransaction } from './workload.ts';

export interface ChangeSourceFixture extends AsyncDisposable {
  /** Captures the tables given, which are there and empty. `events` has its whole rows in the log (REPLICA IDENTITY FULL), the others their keys. */
  source(tables: Readonly<Record<string, Table>>): CaptureSource;
  /** One transaction, committed; it may be an empty one. */
  commit(statements: readonly Statement[]): Promise<void>;
  context?(options: Partial<Context>): Context;
  /** True where it keeps nothing back: a large value that an update leaves as it was is not sent. */
  readonly sendsUnchanged?: boolean;
  /** What its transactions never do. */
  readonly work?: Pick<WorkloadOptions, 'truncates' | 'emptyKeys'>;
  /** True where an update that leaves a row as it was is not in the log. */
  readonly dropsIdleUpdates?: boolean;
}

/** A source, a database in memory that does the same, and a mirror in memory that follows the source. */
export class ChangeSourceWorld {
  readonly database: MemoryDatabase = workloadDatabase();
  readonly mirror: MemoryMirror = memoryMirror();
  readonly #fixture: ChangeSourceFixture;
  readonly #order: 'commits' | 'rows';
  #sink: ChangeSink | undefined;
  #applied = 0;

  constructor(fixture: ChangeSourceFixture, order: 'commits' | 'rows') {
    this.#fixture = fixture;
    this.#order = order;
  }

  get sendsUnchanged(): boolean {
    return this.#fixture.sendsUnchanged ?? false;
  }

  open(): Promise<ChangeSource> {
    return this.#fixture
      .source(workloadTables)
      .open((this.#fixture.context ?? testContext)({}), { pipeline: 'conformance', step: 'changes' });
  }

  async commit(...statements: readonly Statement[]): Promise<void> {
    this.database.commit(...statements);
    await this.#fixture.commit(statements);
  }

  async work(seed: number, transactions: number): Promise<void> {
    const choices = new Choices(seeded(seed));
    for (let left = transactions; left > 0; left--)
      await this.#fixture.commit(workTransaction(this.database, choices, this.#fixture.work ?? {}));
  }

  /** A new stream, over empty tables. */
  async begin(): Promise<{ readonly position: Position }> {
    await using source = await this.open();
    const { identity, snapshot } = await this.create(source);
    await this.follow(identity, snapshot);
    await snapshot[Symbol.asyncDispose]();
    return { position: snapshot.position };
  }

  async create(source: ChangeSource): ReturnType<ChangeSource['create']> {
    const made = await source.create();
    this.#applied = this.done.length; // what was there before is in the snapshot
    return made;
  }

  async follow(identity: Parameters<ChangeSink['follow']>[0], snapshot: TableSnapshot): Promise<void> {
    const sink = await this.sinkOf(this.mirror, Object.keys(workloadTables));
    this.#sink = sink;
    await sink.follow(identity, snapshot.position);
    for (const name of Object.keys(workloadTables)) await copyInto(sink, snapshot, name);
  }

  async sinkOf(mirror: MemoryMirror, names: readonly string[]): Promise<ChangeSink> {
    const sink = await memoryApply(mirror, { strict: this.#order === 'commits' }).open(testContext());
    const tables = Object.fromEntries(Object.entries(workloadTables).filter(([name]) => names.includes(name)));
    const policy = { add: 'apply', drop: 'apply', rename: 'apply', retype: 'apply' } as const;
    await sink.begin({ owner: { pipeline: 'p', step: 's' }, pipelineRun: 'r', tables, policy }, { key: 'k', epoch: 1 });
    return sink;
  }

  /** Groups up to where the source is now. */
  async *groups(source: ChangeSource, from: Position): AsyncGenerator<ChangeGroup, void, undefined> {
    const until = (await source.stream())?.end as Position;
    const options: ReadChanges = { signal: AbortSignal.timeout(60_000), until };
    let reached = from;
    for await (const group of source.read(from, options)) {
      yield group;
      reached = group.position();
    }
    assert.ok(reached >= until, `the stream ended at ${reached}, before ${until}`);
  }

  /** Applies groups until one is the last; answers where that was. */
  async apply(source: ChangeSource, from: Position, stop: AbortController, isLast: (group: ChangeGroup) => boolean): Promise<Position> {
    const until = (await source.stream())?.end as Position;
    let reached = from;
    for await (const group of source.read(from, { signal: stop.signal, until })) {
      await this.#take(group);
      reached = group.position();
      if (isLast(group)) stop.abort(new Error('enough'));
    }
    return reached;
  }

  async catchUp(source: ChangeSource): Promise<void> {
    for await (const group of this.groups(source, this.mirror.durable.position as Position)) await this.#take(group);
  }

  /** Applies a group; the mirror is then as the source was after the last of its transactions, where those have an order. */
  async #take(group: ChangeGroup): Promise<void> {
    if (group.transactions.length === 0 && group.position() <= (this.mirror.durable.position as Position)) return;
    await this.#sink?.apply(group);
    this.#applied += group.transactions.length;
    const last = this.#order === 'commits' ? this.done[this.#applied - 1] : undefined;
    if (last) assert.deepEqual(plainState(mirrorState(this.mirror)), plainState(this.database.stateAt(last.end)));
  }

  /** Transactions that the source has in its log. */
  get done(): readonly LoggedTransaction[] {
    const isLogged = (change: LoggedTransaction['changes'][number]): boolean =>
      !(this.#fixture.dropsIdleUpdates && change.kind === 'update' && isDeepStrictEqual(change.row, change.old));
    return this.database.log.filter(({ changes }) => changes.some(isLogged));
  }

  compare(): void {
    if (this.#order === 'commits') assert.equal(this.#applied, this.done.length);
    assert.deepEqual(plainState(mirrorState(this.mirror)), plainState(this.database.stateAt(this.database.end)));
  }
}

/** Applies a group, and hands its parts on. */
export async function* forwarded(group: ChangeGroup, sink: ChangeSink) {
  const parts = [];
  for await (const part of group.parts) {
    parts.push(part);
    yield part;
  }
  await sink.apply({
    ...group,
    position: () => group.position(),
    parts: (async function* () {
      yield* parts;
    })(),
  });
}

export async function copyInto(sink: ChangeSink, snapshot: TableSnapshot, name: string): Promise<void> {
  await using source = await snapshot.table(name);
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 8 * 1024, earlier: null });
  await using copy = await sink.copy(name, 'fresh', snapshot.position);
  const offers = source.offers(plan);
  for (const split of plan.splits) await copy.stage(split, await source.open(split, offers.includes('batches') ? 'batches' : 'csv'));
  await copy.finish(snapshot.position);
}

import assert from 'node:assert/strict';
import { batchOfRows, rowsOf } from '../batch/index.ts';
import {
  type ChangeGroup,
  type ChangeSink,
  type ChangeTarget,
  type Context,
  earliest,
  type Position,
  type SchemaPolicy,
  type SinkState,
  type Split,
  type StreamIdentity,
  type StreamTables,
} from '../connector/index.ts';
import { trim } from '../run/changes/trim.ts';
import { batchesOf, channelOf } from '../run/route.ts';
import { int4, int8, type RowSchema, table, text } from '../schema/index.ts';
import { changeGroup, type GroupOptions } from './change-groups.ts';
import { testContext } from './context.ts';
import {
  type LoggedChange,
  type LoggedTransaction,
  MemoryDatabase,
  type MemoryRow,
  memoryKey,
  memoryPosition,
  type Statement,
} from './memory-database.ts';

export interface ChangeSinkFixture extends AsyncDisposable {
  /** The same place, which is empty at first, however often it is asked for. */
  target(): ChangeTarget;
  /** The current rows of a table of the stream, in any order; `stored` of the target by default. An empty list where there is none yet. */
  read?(table: string, schema: RowSchema): Promise<readonly MemoryRow[]>;
  context?(options: Partial<Context>): Context;
}

export const things = table(
  'public.things',
  { id: int8(), name: text().orNull(), body: text().orNull(), size: int4().orNull() },
  { key: ['id'] },
);
export const bare = table('public.bare', { a: int4().orNull(), b: text().orNull() });

export const at = memoryPosition;
export const identity = (origin = 7): StreamIdentity => ({ source: 'memory:1/test', slot: 'conformance', origin: at(origin) });
export const split = (id: string): Split => ({ id, estimate: { rows: null, bytes: null }, where: {} });
export const row = (id: number): MemoryRow => ({ id: BigInt(id), name: `n${id}`, body: null, size: id });
export const insert = (id: number, rest: MemoryRow = {}): Statement => ({ do: 'insert', table: 'things', row: { ...row(id), ...rest } });
export const update = (id: number, set: MemoryRow): Statement => ({ do: 'update', table: 'things', key: { id: BigInt(id) }, set });

const policy: SchemaPolicy = { add: 'apply', drop: 'apply', rename: 'apply', retype: 'apply' };

/** Attempts at one place. */
export class World {
  readonly #fixture: ChangeSinkFixture;
  #epoch = 0;

  constructor(fixture: ChangeSinkFixture) {
    this.#fixture = fixture;
  }

  /** A new attempt; `later` moves its epoch. */
  async open(tables: StreamTables = { things }, later = 0): Promise<Attempt> {
    const target = this.#fixture.target();
    const sink = await target.open((this.#fixture.context ?? testContext)({}));
    try {
      const owner = { pipeline: 'conformance', step: 'mirrored' };
      const fence = { key: 'conformance/mirrored', epoch: ++this.#epoch + later };
      const state = await sink.begin({ owner, pipelineRun: 'run', tables, policy }, fence);
      return new Attempt(target, sink, state);
    } catch (error) {
      await sink[Symbol.asyncDispose]();
      throw error;
    }
  }

  async read(name: string, schema: RowSchema = things): Promise<MemoryRow[]> {
    const rows = await (this.#fixture.read?.(name, schema) ?? this.#stored(name, schema));
    return sorted(rows, schema);
  }

  async #stored(name: string, schema: RowSchema): Promise<MemoryRow[]> {
    const selection = this.#fixture.target().stored?.(name, schema);
    if (!selection) throw new TypeError('the target does not say what is stored: give the suite a `read`');
    await using source = await selection.open((this.#fixture.context ?? testContext)({}));
    const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1024 * 1024, earlier: null });
    const offers = source.offers(plan);
    const format = offers.includes('batches') ? 'batches' : 'csv';
    const found: MemoryRow[] = [];
    for (const one of plan.splits) for await (const batch of batchesOf(await source.open(one, format))) found.push(...rowsOf(batch));
    return found;
  }

  /** A database and an attempt that follows it: from its beginning, or where `earlier` was. */
  async play(
    tables: StreamTables,
    toasted: readonly string[] = [],
    earlier: Playing | null = null,
    given?: MemoryDatabase,
  ): Promise<Playing> {
    const database = earlier?.database ?? given ?? new MemoryDatabase(tables, { things: { toasted } });
    const attempt = await this.open(tables);
    try {
      if (earlier) return new Playing(this, attempt, database, tables);
      const from = database.end;
      const origin = Number(from);
      if (attempt.state.identity === null || attempt.state.identity.origin !== at(origin))
        await attempt.sink.follow(identity(origin), from);
      for (const [name, schema] of Object.entries(tables)) await attempt.copy(name, database.rows(name), from, schema);
      const copied = Object.fromEntries(Object.keys(tables).map((name) => [name, from]));
      return new Playing(this, attempt, database, tables, { ...attempt.state, position: from, copied });
    } catch (error) {
      await attempt[Symbol.asyncDispose]();
      throw error;
    }
  }
}

export class Attempt implements AsyncDisposable {
  readonly sink: ChangeSink;
  readonly state: SinkState;
  readonly #target: ChangeTarget;

  constructor(target: ChangeTarget, sink: ChangeSink, state: SinkState) {
    this.#target = target;
    this.sink = sink;
    this.state = state;
  }

  channel(schema: RowSchema, rows: readonly MemoryRow[]): ReturnType<typeof channelOf> {
    async function* batches() {
      if (rows.length > 0) yield batchOfRows(schema, rows);
    }
    return this.channelOf(schema, batches());
  }

  channelOf(
    schema: RowSchema,
    batches: Extract<ReturnType<typeof channelOf>, { format: 'batches' }>['batches'],
  ): ReturnType<typeof channelOf> {
    return channelOf({ format: 'batches', schema, batches }, this.#target.accepts.includes('batches') ? 'batches' : 'csv');
  }

  async copy(name: string, rows: readonly MemoryRow[], position: Position, schema: RowSchema = things): Promise<void> {
    await using copy = await this.sink.copy(name, 'fresh', position);
    if (rows.length > 0) await copy.stage(split('s1'), this.channel(schema, rows));
    await copy.finish(position);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sink[Symbol.asyncDispose]();
  }
}

export interface Applying extends GroupOptions {
  /** Transactions at most. */
  readonly most?: number;
  readonly without?: (change: LoggedChange) => boolean;
}

/** An attempt that follows a database in memory, as the engine would. */
export class Playing implements AsyncDisposable {
  readonly database: MemoryDatabase;
  readonly tables: StreamTables;
  readonly copied: Map<string, Position>;
  position: Position | null;
  readonly #world: World;
  readonly #attempt: Attempt;

  constructor(world: World, attempt: Attempt, database: MemoryDatabase, tables: StreamTables, state: SinkState = attempt.state) {
    this.#world = world;
    this.#attempt = attempt;
    this.database = database;
    this.tables = tables;
    this.position = state.position;
    this.copied = new Map(Object.entries(state.copied));
  }

  get sink(): ChangeSink {
    return this.#attempt.sink;
  }

  get full(): GroupOptions {
    return { isFull: (name) => this.database.identityOf(name) === 'full' };
  }

  channel(schema: RowSchema, rows: readonly MemoryRow[]): ReturnType<typeof channelOf> {
    return this.#attempt.channel(schema, rows);
  }

  async commit(...statements: readonly Statement[]): Promise<void> {
    this.database.commit(...statements);
  }

  /** What was committed is taken for applied. */
  skip(): void {
    this.position = this.database.end;
  }

  get isBehind(): boolean {
    return this.logged(this.position as Position).length > 0;
  }

  logged(from: Position, names: readonly string[] = Object.keys(this.tables)): LoggedTransaction[] {
    const own = (change: LoggedChange): LoggedChange[] => {
      if (change.kind !== 'truncate') return names.includes(change.table) ? [change] : [];
      const some = change.tables.filter((name) => names.includes(name));
      return some.length > 0 ? [{ ...change, tables: some }] : [];
    };
    return this.database.log.flatMap((one) => (one.commit < from ? [] : [{ ...one, changes: one.changes.flatMap(own) }]));
  }

  /** The next group; giants come alone. */
  async apply({ most = Number.POSITIVE_INFINITY, without, ...options }: Applying = {}): Promise<Position> {
    const position = this.position as Position;
    const waiting = this.logged(position);
    const next = options.giant ? waiting.slice(0, 1) : waiting.slice(0, most);
    const logged = next.map((one) => ({ ...one, changes: one.changes.filter((change) => !without?.(change)) }));
    return this.#apply(changeGroup(logged, { ...this.full, ...options, position: next.at(-1)?.end ?? this.database.end }));
  }

  applied(...logged: readonly LoggedTransaction[]): Promise<Position> {
    return this.#apply(changeGroup(logged, this.full));
  }

  /** Inserts rows into the table without a key. */
  async put(rows: readonly MemoryRow[]): Promise<void> {
    this.database.nudge();
    const commit = this.database.end;
    this.database.nudge();
    const changes = rows.map((one) => ({ kind: 'insert', table: 'bare', schema: bare, row: one }) as const);
    await this.applied({ xid: '1', commit, end: this.database.end, committedAt: '2026-01-01T00:00:00.000000Z', changes });
  }

  /** Something that the source does not have, by which the table can be told from its next copy. */
  async spoil(name: string): Promise<void> {
    this.database.nudge();
    const commit = this.database.end;
    this.database.nudge();
    const old = this.database.rows(name).at(-1) as MemoryRow;
    const change = {
      kind: 'update',
      table: name,
      schema: this.database.schema(name),
      row: { ...old, name: 'spoilt' },
      old,
      unchanged: [],
    } as const;
    await this.applied({ xid: '1', commit, end: this.database.end, committedAt: '2026-01-01T00:00:00.000000Z', changes: [change] });
  }

  /** The target is as the source was when everything before `position` was committed, by default everything; copies are where they are. */
  async compare(position: Position = this.database.end): Promise<void> {
    if (position === this.database.end) await this.sink.flush();
    for (const name of Object.keys(this.tables)) {
      const copied = this.copied.get(name) ?? position;
      const state = this.database.stateAt(earliest([copied, position]) === copied ? position : copied).get(name);
      const schema = state?.schema ?? this.database.schema(name);
      const expected = sorted([...(state?.rows.values() ?? [])], schema);
      assert.deepEqual({ position, [name]: await this.#world.read(name, schema) }, { position, [name]: expected });
    }
  }

  async #apply(group: ChangeGroup): Promise<Position> {
    const position = this.position as Position;
    const fresh = trim(group, { position, copied: this.copied });
    const durable = await this.sink.apply(fresh);
    this.position = group.position();
    return durable;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#attempt[Symbol.asyncDispose]();
  }
}

function sorted(rows: readonly MemoryRow[], schema: RowSchema): MemoryRow[] {
  const plain = rows.map((one) => Object.fromEntries(schema.columns.map(({ name }) => [name, one[name] ?? null])));
  const key = (one: MemoryRow): string => memoryKey({ columns: schema.columns }, one);
  return plain.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

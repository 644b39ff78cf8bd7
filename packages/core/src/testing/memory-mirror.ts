import { isUnchanged, rowsOf } from '../batch/index.ts';
import {
  beforeKinds,
  type ChangeGroup,
  type ChangeSink,
  type ChangeTarget,
  type ChangeTargetDescription,
  changeKinds,
  type Fence,
  type Position,
  type SchemaChange,
  type SinkState,
  type StreamIdentity,
  type StreamTables,
  type TableChanges,
  type TableCopy,
} from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import { batchesOf } from '../run/route.ts';
import type { RowSchema } from '../schema/index.ts';
import { type MemoryRow, type MemoryState, memoryKey } from './memory-database.ts';
import { memorySelection } from './memory-source.ts';

export type MemorySinkPoint =
  | 'begin'
  | 'follow.before'
  | 'follow.after'
  | 'apply.before'
  | 'apply.part'
  | 'apply.after'
  | 'flush'
  | 'copy.begin'
  | 'copy.stage'
  | 'copy.staged'
  | 'copy.apply'
  | 'copy.finish.before'
  | 'copy.finish.after';

export interface MemoryApplyOptions {
  /** What plans show; `memory` by default. */
  readonly object?: string;
  /** A sink that buffers makes durable every so many groups, and answers where it was before. 1 by default. */
  readonly durableEvery?: () => number;
  /**
   * Where a delete finds no row, or an insert finds one, something was applied twice or left out. True by default; with a filter on the way
   * deletes of rows that were never here are in order.
   */
  readonly strict?: boolean;
  /** Called at each turn; what it throws is thrown there, and while it waits the sink waits. After `….after` it is done, and the answer is lost. */
  readonly at?: (point: MemorySinkPoint) => Promise<void> | void;
}

interface Durable {
  identity: StreamIdentity | null;
  position: Position | null;
  copied: Readonly<Record<string, Position>>;
  tables: Map<string, MirrorTable>;
}

interface MirrorTable {
  readonly schema: RowSchema;
  readonly rows: ReadonlyMap<string, MemoryRow>;
}

/** What a target in memory has: what is durable, and so is seen by others and outlives an attempt. */
export interface MemoryMirror {
  durable: Durable;
  readonly fences: Map<string, number>;
  /** Called after each act that others can see. */
  seen: (() => void) | undefined;
}

export const memoryMirror = (): MemoryMirror => ({
  durable: { identity: null, position: null, copied: {}, tables: new Map() },
  fences: new Map(),
  seen: undefined,
});

export const mirrorState = ({ durable }: MemoryMirror): MemoryState => durable.tables;

/** A target in memory that keeps every promise of `ChangeSink`, and holds its caller to what the caller promises. */
export function memoryApply(mirror: MemoryMirror, options: MemoryApplyOptions = {}): ChangeTarget<unknown> {
  const description: ChangeTargetDescription = {
    connector: 'memory',
    object: options.object ?? 'memory',
    connection: 'memory',
    mode: 'mirror',
    guarantee: 'exactly-once',
  };
  return {
    kind: 'change-target',
    description,
    accepts: ['batches'],
    problems: () => [],
    ddl: () => [],
    open: async () => new MirrorSink(mirror, options),
    stored: (table, schema) =>
      memorySelection({ schema, rows: () => [...(mirror.durable.tables.get(table)?.rows.values() ?? [])], object: table }),
  };
}

class MirrorSink implements ChangeSink {
  readonly #mirror: MemoryMirror;
  readonly #options: MemoryApplyOptions;
  #fence: Fence | null = null;
  /** What has been applied; the durable tables where it does not buffer. */
  #tables = new Map<string, MirrorTable>();
  #position: Position | null = null;
  #sinceDurable = 0;
  #busy = false;

  constructor(mirror: MemoryMirror, options: MemoryApplyOptions) {
    this.#mirror = mirror;
    this.#options = options;
  }

  async begin({ tables }: { readonly tables: StreamTables }, fence: Fence): Promise<SinkState> {
    await this.#options.at?.('begin');
    if (this.#fence) throw broken('begin was called twice');
    if ((this.#mirror.fences.get(fence.key) ?? 0) > fence.epoch) throw fenced(fence);
    this.#mirror.fences.set(fence.key, fence.epoch);
    this.#fence = fence;
    const { durable } = this.#mirror;
    for (const [table, schema] of Object.entries(tables))
      if (!durable.tables.has(table)) durable.tables.set(table, { schema, rows: new Map() });
    // What is not followed from here on is not up to date any more.
    durable.copied = Object.fromEntries(Object.entries(durable.copied).filter(([table]) => Object.hasOwn(tables, table)));
    this.#tables = new Map(durable.tables);
    this.#position = durable.position;
    return { identity: durable.identity, position: durable.position, copied: durable.copied, deadLetters: 0 };
  }

  async follow(identity: StreamIdentity, position: Position): Promise<void> {
    await this.#turn('follow.before');
    const { durable } = this.#mirror;
    const same = durable.identity !== null && JSON.stringify(durable.identity) === JSON.stringify(identity);
    this.#mirror.durable = { ...durable, identity, position, copied: same ? durable.copied : {}, tables: new Map(this.#tables) };
    this.#position = position;
    await this.#options.at?.('follow.after');
  }

  async copy(table: string, how: 'fresh' | 'beside'): Promise<TableCopy> {
    await this.#turn('copy.begin');
    const before = this.#table(table);
    let shadow: MirrorTable = { schema: before.schema, rows: new Map() };
    let finished = false;
    let staging = 0;
    return {
      stage: async (split, channel) => {
        staging++;
        await this.#turn('copy.stage');
        const rows: MemoryRow[] = [];
        for await (const batch of batchesOf(channel)) rows.push(...rowsOf(batch));
        this.#check();
        const { schema } = channel;
        const all = new Map(shadow.rows);
        for (const row of rows) {
          if (all.has(memoryKey(schema, row))) throw broken(`a row of ${table} was copied twice`);
          all.set(memoryKey(schema, row), row);
        }
        shadow = { schema, rows: all };
        staging--;
        await this.#options.at?.('copy.staged');
        return { split: split.id, rows: rows.length, bytes: 0, detail: {} };
      },
      apply: async (group) => {
        await this.#turn('copy.apply');
        if (how !== 'beside' || staging > 0) throw broken('changes came to a copy that takes none now');
        const tables = new Map([[table, shadow]]);
        await this.#write(tables, group, null);
        shadow = tables.get(table) as MirrorTable;
      },
      finish: async (position) => {
        await this.#turn('copy.finish.before');
        if (finished || staging > 0) throw broken('a copy was finished that is not whole');
        finished = true;
        const { durable } = this.#mirror;
        const tables = new Map(durable.tables).set(table, shadow);
        this.#mirror.durable = { ...durable, tables, copied: { ...durable.copied, [table]: position } };
        this.#tables.set(table, shadow);
        this.#mirror.seen?.();
        await this.#options.at?.('copy.finish.after');
      },
      async [Symbol.asyncDispose]() {},
    };
  }

  async apply(group: ChangeGroup): Promise<Position> {
    await this.#turn('apply.before');
    const position = this.#position;
    if (position === null) throw broken('a group came before the stream was followed');
    if (this.#busy) throw broken('two groups came at once');
    this.#busy = true;
    try {
      const tables = new Map(this.#tables);
      await this.#write(tables, group, position);
      if (group.position() <= position) throw broken(`the sink is at ${position}, and was set to ${group.position()}`);
      this.#check();
      this.#tables = tables;
      this.#position = group.position();
    } finally {
      this.#busy = false;
    }
    this.#sinceDurable++;
    if (this.#sinceDurable >= (this.#options.durableEvery?.() ?? 1)) this.#settle();
    await this.#options.at?.('apply.after');
    return this.#mirror.durable.position as Position;
  }

  async flush(): Promise<Position> {
    await this.#turn('flush');
    this.#settle();
    return this.#mirror.durable.position as Position;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #settle(): void {
    this.#sinceDurable = 0;
    this.#mirror.durable = { ...this.#mirror.durable, tables: new Map(this.#tables), position: this.#position };
    this.#mirror.seen?.();
  }

  async #turn(point: MemorySinkPoint): Promise<void> {
    this.#check();
    await this.#options.at?.(point);
    this.#check();
  }

  #check(): void {
    const fence = this.#fence;
    if (!fence) throw broken('the sink was used before its begin');
    if (this.#mirror.fences.get(fence.key) !== fence.epoch) throw fenced(fence);
  }

  #table(table: string): MirrorTable {
    const found = this.#tables.get(table);
    if (!found) throw broken(`there is no table ${table}`);
    return found;
  }

  /** `from` is where the sink is; null for a copy. */
  async #write(tables: Map<string, MirrorTable>, group: ChangeGroup, from: Position | null): Promise<void> {
    const isNew = (transaction: number, table: string): void => {
      const { commit } = group.transactions[transaction] ?? {};
      const copied = this.#mirror.durable.copied[table];
      if (commit === undefined) throw broken('a change belongs to no transaction');
      if (from !== null && (commit < from || (copied !== undefined && commit < copied)))
        throw broken(`the changes of ${table} at ${commit} are here already`);
    };
    for await (const part of group.parts) {
      await this.#options.at?.('apply.part');
      if (part.kind === 'truncate') {
        for (const table of part.tables) {
          isNew(part.transaction, table);
          tables.set(table, { schema: tableOf(tables, table).schema, rows: new Map() });
        }
      } else if (part.kind === 'schema') {
        isNew(part.transaction, part.table);
        tables.set(part.table, withColumns(tableOf(tables, part.table), part));
      } else {
        for (const transaction of part.transactions) isNew(transaction, part.table);
        tables.set(part.table, changed(tableOf(tables, part.table), part, this.#options.strict ?? true));
      }
    }
  }
}

function tableOf(tables: ReadonlyMap<string, MirrorTable>, table: string): MirrorTable {
  const found = tables.get(table);
  if (!found) throw broken(`there is no table ${table}`);
  return found;
}

function changed({ schema, rows }: MirrorTable, part: TableChanges, strict: boolean): MirrorTable {
  const { names, key } = { names: schema.columns.map(({ name }) => name), key: schema.key ?? null };
  const comes = part.rows.schema.columns.map(({ name }) => name);
  if (comes.join() !== names.join()) throw broken(`${part.table} has ${names.join(', ')}, and rows of ${comes.join(', ')} came`);
  const next = new Map(rows);
  let last = -1;
  for (let row = 0; row < part.kinds.length; row++) {
    if (part.ordinals[row]! <= last) throw broken('changes of a table came out of order');
    last = part.ordinals[row]!;
    const kind = part.kinds[row];
    const before =
      part.before[row] === beforeKinds.none ? null : valuesAt(part.old, row, part.before[row] === beforeKinds.key ? key : null);
    if (before === null && kind === changeKinds.delete) throw broken('a delete came without its key');
    const came = valuesAt(part.rows, row, kind === changeKinds.delete && part.before[row] === beforeKinds.key ? key : null);
    const was = memoryKey(schema, before ?? came);
    if (kind === changeKinds.delete) {
      if (memoryKey(schema, came) !== was) throw broken('a delete came with two keys');
      if (!next.delete(was) && strict) throw broken(`${part.table} has no ${was} to delete`);
      continue;
    }
    const there = next.get(was);
    if (kind === changeKinds.insert && there && strict) throw broken(`${part.table} has ${was} already`);
    if (kind === changeKinds.update && !there && strict) throw broken(`${part.table} has no ${was} to update`);
    const unknown = names.filter((_, place) => isUnchanged(part.rows.vectors[place]!, row));
    if (!there && unknown.length > 0) throw incomplete(part.table, unknown);
    next.delete(was);
    next.set(memoryKey(schema, came), { ...there, ...came });
  }
  return { schema, rows: next };
}

/** Values that are known, by name. `only`: the columns that are known; all where it is null. */
function valuesAt(batch: TableChanges['old'], row: number, only: readonly string[] | null): MemoryRow {
  if (!batch) throw broken('the rows before are said to be known, and are not there');
  return Object.fromEntries(
    batch.schema.columns.flatMap(({ name }, place) => {
      const vector = batch.vectors[place]!;
      if (only && !only.includes(name)) {
        if (isUnchanged(vector, row) || !vector.isNull(row)) throw broken(`"${name}" stands in a row of which only the key is known`);
        return [];
      }
      return isUnchanged(vector, row) ? [] : [[name, vector.get(row)]];
    }),
  );
}

function withColumns(table: MirrorTable, { schema, changes }: SchemaChange): MirrorTable {
  const names = new Map(changes.flatMap((one) => (one.change === 'rename' ? [[one.from, one.to] as const] : [])));
  const isThere = JSON.stringify(table.schema.columns) === JSON.stringify(schema.columns);
  if (isThere) return table;
  const rows = [...table.rows.values()].map((row) => {
    const after: Record<string, unknown> = Object.fromEntries(Object.entries(row).map(([name, value]) => [names.get(name) ?? name, value]));
    for (const change of changes) {
      if (change.change === 'drop') delete after[change.name];
      if (change.change === 'add') after[change.column.name] = change.fill;
    }
    return after;
  });
  return { schema, rows: new Map(rows.map((row) => [memoryKey(schema, row), row])) };
}

const incomplete = (table: string, columns: readonly string[]): MillraceError =>
  new MillraceError('CHANGE_INCOMPLETE', {
    message: `An update of ${table} found no row, and did not bring ${columns.join(', ')}.`,
    remedy: 'Copy the table again.',
  });

const broken = (what: string): MillraceError =>
  new MillraceError('INTERNAL', { message: `Memory mirror: ${what}.`, remedy: 'Please report it.' });

const fenced = ({ key, epoch }: Fence): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `Attempt ${epoch} at ${key} came too late.`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { key, epoch },
  });

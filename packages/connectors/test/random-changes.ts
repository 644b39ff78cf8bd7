import type { ColumnSchema, RowSchema, StreamTables } from '@millrace/core/runtime';
import fc from 'fast-check';
import type { Change, Transaction } from './hand-made.ts';
import type { Row } from './load.ts';

/** One thing that may happen at the source; what cannot happen where it comes is left out. */
export interface Step {
  readonly kind: 'put' | 'delete' | 'rekey' | 'swap' | 'truncate' | 'add' | 'drop' | 'rename';
  readonly table: number;
  readonly id: number;
  readonly other: number;
  readonly value: number;
  /** Writes the large column too; otherwise an update does not send it. */
  readonly touch: boolean;
  /** The transaction ends here. */
  readonly commit: boolean;
}

const often = <T>(value: T, times: number): T[] => new Array<T>(times).fill(value);

export const arbitrarySteps = (rare: readonly Step['kind'][], length = 60): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      kind: fc.constantFrom(
        ...often<Step['kind']>('put', 16),
        ...often<Step['kind']>('delete', 3),
        ...often<Step['kind']>('rekey', 12),
        ...often<Step['kind']>('swap', 4),
        ...rare,
      ),
      table: fc.nat(1),
      id: fc.nat(4),
      other: fc.nat(7),
      value: fc.nat(999),
      touch: fc.boolean(),
      commit: fc.boolean(),
    }),
    { minLength: 1, maxLength: length, size: 'max' },
  );

interface Model {
  readonly schema: RowSchema;
  readonly rows: Map<bigint, Row>;
  /** Rows that are gone, as they were last. */
  readonly gone: Map<bigint, Row>;
}

export interface History {
  readonly transactions: readonly Transaction[];
  /** Rows after each transaction, by table, sorted by id. */
  readonly states: readonly Readonly<Record<string, readonly Row[]>>[];
  /** Rows that are gone in the end, as they were last. */
  readonly gone: Readonly<Record<string, readonly Row[]>>;
  readonly schemas: StreamTables;
  /** Columns before each transaction. */
  readonly schemasBefore: readonly StreamTables[];
}

/** `full` are tables whose updates and deletes come with the whole row before them. */
export function historyOf(tables: StreamTables, full: readonly string[], steps: readonly Step[], from = 100): History {
  const names = Object.keys(tables);
  const models = new Map<string, Model>(names.map((name) => [name, { schema: tables[name]!, rows: new Map(), gone: new Map() }]));
  const transactions: Transaction[] = [];
  const states: Record<string, Row[]>[] = [];
  const schemasOf = (): StreamTables => Object.fromEntries([...models].map(([name, { schema }]) => [name, schema]));
  const schemasBefore: StreamTables[] = [schemasOf()];
  let changes: Change[] = [];
  let at = from;
  const commit = () => {
    if (changes.length === 0) return;
    transactions.push({ at, changes });
    states.push(Object.fromEntries([...models].map(([name, { rows }]) => [name, sorted(rows)])));
    schemasBefore.push(schemasOf());
    changes = [];
    at += 2;
  };
  for (const step of steps) {
    const name = names[step.table % names.length]!;
    changes.push(...happen(name, models, step, full.includes(name)));
    if (step.commit) commit();
  }
  commit();
  const gone = Object.fromEntries([...models].map(([name, model]) => [name, sorted(model.gone)]));
  return { transactions, states, gone, schemas: schemasOf(), schemasBefore };
}

const sorted = (rows: ReadonlyMap<bigint, Row>): Row[] =>
  [...rows.values()].sort((a, b) => Number((a['id'] as bigint) - (b['id'] as bigint)));

function happen(table: string, models: Map<string, Model>, step: Step, whole: boolean): Change[] {
  const model = models.get(table)!;
  const { rows, gone, schema } = model;
  const [id, other] = [BigInt(step.id), BigInt(step.other)];
  const extra = schema.columns.find(({ name }) => name.startsWith('extra'))?.name;
  const now = rows.get(id);
  const update = (before: Row, after: Row, rekeyed: boolean): Change => {
    const [was, is] = [before['id'] as bigint, after['id'] as bigint];
    rows.delete(was);
    rows.set(is, after);
    if (was !== is) gone.set(was, before);
    gone.delete(is);
    const unchanged = ['note'].filter((name) => before[name] === after[name] && before[name] !== null);
    const old = whole ? { old: before, whole } : rekeyed ? { old: { id: before['id'] } } : {};
    return { op: 'update', table, row: after, unchanged, ...old };
  };
  switch (step.kind) {
    case 'put': {
      const note = step.value % 5 === 0 ? null : `note "${step.value}", of\n${step.id}`;
      const given: Row = { total: step.value, ...(extra && { [extra]: step.value % 3 === 0 ? null : `x${step.value}` }) };
      if (now) return [update(now, { ...now, ...given, ...(step.touch && { note }) }, false)];
      const row = { id, note, ...given };
      rows.set(id, row);
      gone.delete(id);
      return [{ op: 'insert', table, row }];
    }
    case 'delete':
      if (!now) return [];
      rows.delete(id);
      gone.set(id, now);
      return [{ op: 'delete', table, old: whole ? now : { id }, whole }];
    case 'rekey':
      if (!now || rows.has(other)) return [];
      return [update(now, { ...now, id: other, ...(step.touch && { note: `moved ${step.value}` }) }, true)];
    case 'swap': {
      const second = rows.get(other);
      if (!now || !second || id === other) return [];
      const aside = { ...now, id: 100n };
      return [update(now, aside, true), update(second, { ...second, id }, true), update(aside, { ...aside, id: other }, true)];
    }
    case 'truncate':
      for (const [key, row] of rows) gone.set(key, row);
      rows.clear();
      return [{ op: 'truncate', tables: [table] }];
    default:
      return columnsChange(table, models, model, step.kind, extra, step.value);
  }
}

/** A column `extra…` comes and goes and is renamed. */
function columnsChange(
  table: string,
  models: Map<string, Model>,
  { schema, rows, gone }: Model,
  kind: 'add' | 'drop' | 'rename',
  extra: string | undefined,
  value: number,
): Change[] {
  const become = (columns: readonly ColumnSchema[], of: (row: Row) => Row): RowSchema => {
    const next = { ...schema, columns };
    const each = (list: ReadonlyMap<bigint, Row>) => new Map([...list].map(([id, row]) => [id, of(row)]));
    models.set(table, { schema: next, rows: each(rows), gone: each(gone) });
    return next;
  };
  const rest = schema.columns.filter(({ name }) => name !== extra);
  if (kind === 'add') {
    if (extra) return [];
    const column = { name: 'extra', type: { kind: 'text' }, nullable: true } as const;
    const fill = value % 3 === 0 ? `filled ${value}` : null;
    const changed = become([...rest, column], (row) => ({ ...row, extra: fill }));
    return [{ op: 'schema', table, schema: changed, changes: [{ change: 'add', column, fill }] }];
  }
  if (!extra) return [];
  const without = ({ [extra]: _, ...row }: Row): Row => row;
  if (kind === 'drop') return [{ op: 'schema', table, schema: become(rest, without), changes: [{ change: 'drop', name: extra }] }];
  const to = `extra${value}`;
  if (to === extra) return [];
  const columns = schema.columns.map((column) => (column.name === extra ? { ...column, name: to } : column));
  const renamed = become(columns, (row) => ({ ...without(row), [to]: row[extra] }));
  return [{ op: 'schema', table, schema: renamed, changes: [{ change: 'rename', from: extra, to }] }];
}

/** Cuts transactions into groups, as sizes say. */
export function* grouped(transactions: readonly Transaction[], sizes: readonly number[]): Generator<readonly Transaction[]> {
  for (let from = 0, at = 0; from < transactions.length; at++) {
    const to = from + Math.max(1, sizes[at % Math.max(1, sizes.length)] ?? 1);
    yield transactions.slice(from, to);
    from = to;
  }
}

import { int4, int8, jsonb, numeric, table, text, timestamptz, uuid, varchar } from '@millrace/core';
import fc from 'fast-check';
import type { Change, Transaction } from './hand-made.ts';
import type { Row } from './load.ts';

/** `note` and `doc` may be too large to be sent again; `code` is unique at the target. */
const others = { note: text().orNull(), doc: jsonb().orNull(), code: int4().orNull(), amount: numeric(12, 2), at: timestamptz().orNull() };
export const tables = {
  ints: table('public.ints', { id: int8(), ...others }, { key: ['id'] }),
  texts: table('public.texts', { id: text(), ...others }, { key: ['id'] }),
  uuids: table('public.uuids', { id: uuid(), ...others }, { key: ['id'] }),
  pairs: table('public.pairs', { id: int4(), part: varchar(10), ...others }, { key: ['id', 'part'] }),
};
export type Name = keyof typeof tables;
export const names = Object.keys(tables) as Name[];

const keyOf: Record<Name, (n: number) => Row> = {
  ints: (n) => ({ id: BigInt(n) * 1_000_000_007n }),
  texts: (n) => ({ id: ['', 'ü"\\', 'a,b\n', 'NULL', "it's", '{x}', ' x '][n] ?? `key ${n}` }),
  uuids: (n) => ({ id: `0000000${n % 10}-0000-4000-8000-000000000000` }),
  pairs: (n) => ({ id: n % 3, part: `p${Math.floor(n / 3)}` }),
};
const keys = 8;

export interface Step {
  readonly table: Name;
  readonly kind: 'put' | 'delete' | 'rekey' | 'swap' | 'truncate';
  readonly n: number;
  readonly other: number;
  readonly value: number;
  readonly keeps: readonly ('note' | 'doc')[];
  /** What the source says of the row before. */
  readonly whole: boolean;
  readonly ends: 'nothing' | 'transaction' | 'group';
}

export const arbitraryStep: fc.Arbitrary<Step> = fc.record({
  table: fc.constantFrom(...names),
  kind: fc.constantFrom(...(['put', 'put', 'put', 'put', 'delete', 'delete', 'rekey', 'swap', 'truncate'] as const)),
  n: fc.nat(keys - 1),
  other: fc.nat(keys - 1),
  value: fc.nat(50),
  keeps: fc.subarray(['note', 'doc'] as const),
  whole: fc.boolean(),
  ends: fc.constantFrom(...(['nothing', 'nothing', 'nothing', 'transaction', 'group'] as const)),
});

/** All rows after a transaction. */
export interface State {
  readonly at: number;
  readonly rows: ReadonlyMap<Name, ReadonlyMap<number, Row>>;
}

/** The source: what the steps do to its tables, and what it tells of them. */
export function happened(steps: readonly Step[]) {
  const states: State[] = [];
  const models = new Map(names.map((name) => [name, new Map<number, Row>()]));
  const groups: Transaction[][] = [];
  let group: Transaction[] = [];
  let changes: Change[] = [];
  let at = 100;
  const commit = () => {
    at += 2;
    if (changes.length > 0) {
      group.push({ at, changes });
      states.push({ at, rows: new Map([...models].map(([name, rows]) => [name, new Map(rows)])) });
    }
    changes = [];
  };
  const close = () => {
    commit();
    if (group.length > 0) groups.push(group);
    group = [];
  };
  for (const { table, kind, n, other, value, keeps, whole, ends } of steps) {
    const rows = models.get(table)!;
    const row = rows.get(n);
    const codeIsFree = (code: number | null) => code === null || [...rows.values()].every((one) => one['code'] !== code);
    const update = (from: number, to: number, change: Row, unchanged: readonly string[] = []) => {
      const before = rows.get(from)!;
      const next = { ...before, ...change, ...keyOf[table](to) };
      rows.delete(from);
      rows.set(to, next);
      const key = keyOf[table](from);
      const old = whole ? { old: before, whole } : from === to ? {} : { old: key };
      changes.push({ op: 'update', table, row: next, unchanged: unchanged.filter((name) => next[name] === before[name]), ...old });
    };
    if (kind === 'truncate') {
      if (value > 10) continue;
      changes.push({ op: 'truncate', tables: [table] });
      rows.clear();
    } else if (kind === 'put' && !row) {
      const code = value % 3 === 0 ? null : value;
      const made = {
        ...keyOf[table](n),
        note: value % 4 === 0 ? null : `note ${value}`,
        doc: value % 5 === 0 ? null : `{"s": "\\"\\n", "v": ${value}}`,
        code: codeIsFree(code) ? code : null,
        amount: `${value}.50`,
        at: value % 2 === 0 ? null : `2026-03-29T02:00:${String(value % 60).padStart(2, '0')}.000001Z`,
      };
      rows.set(n, made);
      changes.push({ op: 'insert', table, row: made });
    } else if (kind === 'put') {
      const code = value % 3 === 0 ? null : value;
      const change: Record<string, unknown> = { amount: `${value}.25` };
      if (codeIsFree(code)) change['code'] = code;
      for (const name of ['note', 'doc'] as const)
        if (!keeps.includes(name)) change[name] = name === 'note' ? `other ${value}` : `[${value}]`;
      update(n, n, change, keeps);
    } else if (kind === 'delete' && row) {
      rows.delete(n);
      changes.push({ op: 'delete', table, old: whole ? row : keyOf[table](n), ...(whole && { whole }) });
    } else if (kind === 'rekey' && row && !rows.has(other)) update(n, other, {}, keeps);
    else if (kind === 'swap' && row && rows.has(other) && n !== other) {
      // Two unique values change places by way of a third, as they must where the constraint is checked at once.
      const [a, b] = [row['code'], rows.get(other)!['code']];
      update(n, n, { code: 9_999 });
      update(other, other, { code: a });
      update(n, n, { code: b });
    }
    if (ends !== 'nothing') commit();
    if (ends === 'group') close();
  }
  close();
  return { groups, models, states };
}

/** A row for comparison. */
export const shown = (row: Row): string =>
  JSON.stringify(
    ['id', 'part', 'note', 'doc', 'code', 'amount', 'at'].flatMap((name) =>
      name in row ? [row[name] === null ? null : String(row[name])] : [],
    ),
  );

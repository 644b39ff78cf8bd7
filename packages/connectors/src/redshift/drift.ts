import { MillraceError, type Table } from '@millrace/core/runtime';
import type { HistoryColumns } from '../postgres/sink/history.ts';
import { redshiftType } from './column-type.ts';
import { quote } from './name.ts';

export interface RealColumn {
  readonly name: string;
  /** As `redshiftType` writes it. */
  readonly sqlType: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
}

export interface Difference {
  readonly column: string;
  readonly message: string;
  /** What Redshift can be told to widen it; null where it cannot. */
  readonly alter: string | null;
}

/** What keeps rows of the declaration out of the table. Texts may be shorter than their widest value: Redshift refuses what is too long. */
export function differences(table: Table, real: readonly RealColumn[], history: HistoryColumns | null): Difference[] {
  const there = new Map(real.map((column) => [column.name, column]));
  const filled = history ? Object.values(history) : [];
  const known = new Set([...table.columns.map(({ name }) => name), ...filled]);
  return [
    ...table.columns.flatMap((column): Difference[] => {
      const type = redshiftType(column.type);
      const found = there.get(column.name);
      if (!found) {
        const message = `"${column.name}" (${type}) is not in the table`;
        return [{ column: column.name, message, alter: column.nullable ? `ADD COLUMN ${quote(column.name)} ${type}` : null }];
      }
      const nullable =
        column.nullable && found.notNull
          ? [{ column: column.name, message: `"${column.name}" must not be NULL in the table and may be in the declaration`, alter: null }]
          : [];
      if (holds(found.sqlType, type)) return nullable;
      return [
        { column: column.name, message: `"${column.name}" is ${found.sqlType} in the table and needs ${type}`, alter: null },
        ...nullable,
      ];
    }),
    ...filled
      .filter((name) => !there.has(name))
      .map((column) => ({ column, message: `"${column}", which the history fills, is not in the table`, alter: null })),
    ...real
      .filter(({ name, notNull, hasDefault }) => !known.has(name) && notNull && !hasDefault)
      .map(({ name }) => ({ column: name, message: `"${name}" must not be NULL in the table, and rows do not bring it`, alter: null })),
  ];
}

const integers = ['smallint', 'integer', 'bigint'];

/** True where a column of the first type takes every value of the second, or refuses it aloud. */
function holds(real: string, wanted: string): boolean {
  if (real === wanted) return true;
  if (integers.includes(real) && integers.includes(wanted)) return integers.indexOf(real) >= integers.indexOf(wanted);
  if (real === 'double precision' && wanted === 'real') return true;
  const [a, b] = [real, wanted].map((type) => /^(\w+)\((\d+)(?:,(\d+))?\)$/.exec(type));
  if (!a || !b) return false;
  if (a[1] !== b[1]) return false;
  if (a[1] === 'varchar' || a[1] === 'varbyte') return true;
  return a[1] === 'numeric' && Number(a[3]) >= Number(b[3]) && Number(a[2]) - Number(a[3]) >= Number(b[2]) - Number(b[3]);
}

/** One statement for each: Redshift adds one column at a time. */
export function additions(quoted: string, wrong: readonly Difference[]): string[] {
  return wrong.flatMap(({ alter }) => (alter === null ? [] : [`ALTER TABLE ${quoted} ${alter}`]));
}

export function driftError(table: Table, found: readonly Difference[]): MillraceError {
  return new MillraceError('SCHEMA_DRIFT', {
    message: [`The table ${table.name} is not as it is declared:`, ...found.slice(0, 20).map(({ message }) => `  ${message}`)].join('\n'),
    remedy: found.every(({ alter }) => alter !== null)
      ? `Load with schema: 'evolve', which adds these columns, or correct the table() declaration.`
      : 'Change the table by hand, or correct the table() declaration.',
    facts: { columns: found.map(({ column }) => column) },
  });
}

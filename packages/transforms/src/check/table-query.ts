import {
  baseType,
  type ColumnSchema,
  type Columns,
  milliseconds,
  nameParts,
  type QueryExpectation,
  type SqlConnection,
  type Table,
} from '@millrace/core/runtime';
import { columnNamed } from '../transform-step.ts';
import type { Expectation } from './expectation.ts';
import { checkExpectation, printed } from './value-test.ts';

/** Expectations about a table that is there: `on(orderFact, [unique('order_id'), range('total', { min: '0' })])`. */
export interface TableExpectations {
  readonly kind: 'table-expectations';
  readonly table: Table;
  readonly expectations: readonly Expectation[];
}

export function on<C extends Columns>(table: Table<C>, expectations: readonly Expectation<keyof C & string>[]): TableExpectations {
  for (const expectation of expectations) checkExpectation(table, expectation);
  return Object.freeze({ kind: 'table-expectations', table, expectations: Object.freeze([...expectations]) });
}

type Dialect = SqlConnection['dialect'];

/** A query that finds what breaks the rule: rows for rules about rows, else one row that says what is there instead. */
export function tableQuery(table: Table, expectation: Expectation, dialect: Dialect): QueryExpectation {
  const values: string[] = [];
  const parameter = (value: string): string => {
    values.push(value);
    return dialect === 'mysql' ? '?' : `$${values.length}`;
  };
  const text = violations(table, expectation, dialect, parameter);
  return { name: `${table.name}: ${expectation.name}`, severity: expectation.severity, query: { text, values }, expect: 'violations' };
}

function violations(table: Table, { name, columns, rule }: Expectation, dialect: Dialect, parameter: (value: string) => string): string {
  const quote = (identifier: string): string => quoted(identifier, dialect);
  const from = `FROM ${(nameParts(table.name) ?? [table.name]).map(quote).join('.')}`;
  const schemas = columns.map((column) => table.columns[columnNamed('check', table, column)]!);
  const column = schemas[0] && quote(schemas[0].name);
  const ordered = schemas[0] && `${column}${collation(schemas[0], dialect)}`;
  const bound = (value: Parameters<typeof printed>[2]): string => parameter(printed(name, schemas[0]!, value));
  const shown = [...new Set([...(table.key ?? []), ...columns])].map(quote).join(', ');
  switch (rule.rule) {
    case 'not null':
      return `SELECT ${shown} ${from} WHERE ${column} IS NULL`;
    case 'unique': {
      const key = columns.map(quote);
      const present = key.map((part) => `${part} IS NOT NULL`).join(' AND ');
      return `SELECT ${key.join(', ')}, count(*) AS copies ${from} WHERE ${present} GROUP BY ${key.join(', ')} HAVING count(*) > 1`;
    }
    case 'accepted':
      return `SELECT ${column}, count(*) AS copies ${from} WHERE ${column} NOT IN (${rule.values.map(bound).join(', ')}) GROUP BY ${column}`;
    case 'range': {
      const outside = [
        ...(rule.min === null ? [] : [`${ordered} < ${bound(rule.min)}`]),
        ...(rule.max === null ? [] : [`${ordered} > ${bound(rule.max)}`]),
      ];
      return `SELECT ${shown} ${from} WHERE ${outside.join(' OR ')}`;
    }
    case 'row count': {
      const outside = [...(rule.min === null ? [] : [`count(*) < ${rule.min}`]), ...(rule.max === null ? [] : [`count(*) > ${rule.max}`])];
      return `SELECT count(*) AS row_count ${from} HAVING ${outside.join(' OR ')}`;
    }
    case 'freshness':
      return `SELECT max(${column}) AS newest ${from} HAVING max(${column}) IS NULL OR max(${column}) < ${ago(schemas[0]!, milliseconds(rule.within), dialect)}`;
    default:
      return rule satisfies never;
  }
}

function quoted(identifier: string, dialect: Dialect): string {
  const mark = dialect === 'mysql' ? '`' : '"';
  return `${mark}${identifier.replaceAll(mark, mark + mark)}${mark}`;
}

/** Text is compared by code points everywhere. */
function collation(column: ColumnSchema, dialect: Dialect): string {
  return dialect === 'postgres' && ['text', 'varchar', 'char'].includes(baseType(column.type).kind) ? ' COLLATE "C"' : '';
}

/** By the database's clock; columns without a zone hold UTC. */
function ago(column: ColumnSchema, ms: number, dialect: Dialect): string {
  const seconds = Math.ceil(ms / 1000);
  if (dialect === 'mysql') return `utc_timestamp() - INTERVAL ${seconds} SECOND`;
  const now = dialect === 'redshift' ? 'getdate()' : baseType(column.type).kind === 'timestamptz' ? 'now()' : "(now() AT TIME ZONE 'UTC')";
  return `${now} - interval '${seconds} seconds'`;
}

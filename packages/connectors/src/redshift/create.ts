import type { Table } from '@millrace/core/runtime';
import type { HistoryColumns } from '../postgres/sink/history.ts';
import { redshiftType } from './column-type.ts';
import { quote, quoteTable, tableName } from './name.ts';

/** The statements that make the table in Redshift, with its distribution and sort keys. Keys are not enforced there; the planner reads them. */
export function createStatements(table: Table, history: HistoryColumns | null): string[] {
  const name = tableName(table.name);
  const { distKey, distStyle, sortKey = [] } = table.redshift ?? {};
  const lines = table.columns.map((column) => `${quote(column.name)} ${redshiftType(column.type)}${column.nullable ? '' : ' NOT NULL'}`);
  if (history) {
    lines.push(
      `${quote(history.validFrom)} timestamptz NOT NULL`,
      `${quote(history.validTo)} timestamptz`,
      `${quote(history.isCurrent)} boolean NOT NULL`,
    );
  }
  const key = table.key && [...table.key, ...(history ? [history.validFrom] : [])];
  if (key) lines.push(`PRIMARY KEY (${key.map((column) => quote(column)).join(', ')})`);
  const placement = [
    ...(distStyle ? [`DISTSTYLE ${distStyle.toUpperCase()}`] : distKey ? ['DISTSTYLE KEY'] : []),
    ...(distKey ? [`DISTKEY (${quote(distKey)})`] : []),
    ...(sortKey.length > 0 ? [`SORTKEY (${sortKey.map((column) => quote(column)).join(', ')})`] : []),
  ];
  return [
    `CREATE SCHEMA IF NOT EXISTS ${quote(name.schema)}`,
    [`CREATE TABLE IF NOT EXISTS ${quoteTable(name)} (\n  ${lines.join(',\n  ')}\n)`, ...placement].join('\n'),
  ];
}

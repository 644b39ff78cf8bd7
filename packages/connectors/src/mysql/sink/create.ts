import type { RowSchema } from '@millrace/core/runtime';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import type { HistoryColumns } from './history.ts';
import { keyTypes } from './key-type.ts';
import { binaryCollation, columnSql } from './sql-type.ts';

/** The statement that makes the table. A history's rows are told apart by when they began. */
export function createTable(
  table: RowSchema & { readonly name: string },
  history: HistoryColumns | null,
  flavour: keyof typeof binaryCollation,
): string {
  const primary = table.key && [...table.key, ...(history ? [history.validFrom] : [])];
  const keys = keyTypes(table);
  const lines = table.columns.map(({ name, type, nullable }) => columnSql(quoteIdentifier(name), type, nullable, keys.get(name)));
  if (history) {
    lines.push(
      columnSql(quoteIdentifier(history.validFrom), { kind: 'timestamptz' }, false),
      columnSql(quoteIdentifier(history.validTo), { kind: 'timestamptz' }, true),
      columnSql(quoteIdentifier(history.isCurrent), { kind: 'bool' }, false),
    );
  }
  if (primary?.length) lines.push(`PRIMARY KEY (${primary.map(quoteIdentifier).join(', ')})`);
  return `CREATE TABLE IF NOT EXISTS ${quoteName(table.name)} (\n  ${lines.join(',\n  ')}\n) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE ${binaryCollation[flavour]}`;
}

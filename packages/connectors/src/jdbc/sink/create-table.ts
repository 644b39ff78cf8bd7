import { baseType, type Table } from '@millrace/core/runtime';
import { type Dialect, ddlTypeOf } from '../dialect.ts';
import { quoter, tableParts } from '../identifier.ts';
import type { JdbcSession } from '../session.ts';

/**
 * The declared table as CREATE TABLE. A name in small letters alone becomes what the database makes of it without quotes, so that whoever
 * writes SQL by hand needs none.
 */
export function createTableSql(table: Table, session: JdbcSession, dialect: Dialect): string {
  const quote = quoter(session);
  const { folds } = session.product;
  const named = (name: string): string => quote(folds === 'upper' && /^[a-z_][a-z0-9_]*$/.test(name) ? name.toUpperCase() : name);
  const columns = table.columns.map(({ name, type, nullable }) => {
    const isKey = table.key?.includes(name) ?? false;
    const base = baseType(type);
    // A key of unbounded text is refused by most: the longest that all of them take.
    const stored =
      isKey && (base.kind === 'text' || (base.kind === 'varchar' && base.length === undefined))
        ? dialect.ddlType({ kind: 'varchar', length: 255 })
        : null;
    return `${named(name)} ${stored ?? ddlTypeOf(dialect, name, type)}${nullable ? '' : ' NOT NULL'}`;
  });
  const key = table.key?.length ? [`PRIMARY KEY (${table.key.map(named).join(', ')})`] : [];
  return `CREATE TABLE ${tableParts(table.name).map(named).join('.')} (${[...columns, ...key].join(', ')})`;
}

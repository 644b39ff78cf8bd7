import { baseType, type ColumnSchema, type ColumnType, fidelity, MillraceError, type RowSchema, typeName } from '@millrace/core/runtime';
import { type Difference, driftError } from '../../postgres/sink/drift.ts';
import { type CatalogColumn, findRelation, type Relation } from '../catalog.ts';
import { labelsOf } from '../column-type.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import type { Session } from '../session.ts';
import { createTable } from './create.ts';
import { passing } from './failpoints.ts';
import { keyTypes } from './key-type.ts';
import { definitionOf } from './landing.ts';
import type { TableSettings } from './load-work.ts';
import { columnSql, sqlType } from './sql-type.ts';

/**
 * Makes the table what its declaration says, as far as the target's `schema` option allows, and answers what it is.
 *
 * @throws TABLE_MISSING, SCHEMA_DRIFT with every difference, UNSUPPORTED, ACCESS_DENIED
 */
export async function prepareTable(session: Session, settings: TableSettings): Promise<Relation> {
  const { table, history, schema, mode } = settings;
  const found = await findRelation(session, table.name);
  if (!found && schema === 'strict') throw missing(settings);
  const before = found ?? (await create(session, settings));
  assertTransactional(before);
  const key = table.key ?? [];
  if ((mode === 'merge' || mode === 'history') && !isIndexed(before, key, mode)) {
    throw new MillraceError('SCHEMA_DRIFT', {
      message: `${table.name} has no ${mode === 'merge' ? 'unique index over' : 'primary key that begins with'} ${key.join(', ')}, by which mode "${mode}" finds rows.`,
      remedy: `ALTER TABLE ${quoteName(table.name)} ADD PRIMARY KEY (${[...key, ...(mode === 'history' && history ? [history.validFrom] : [])].map(quoteIdentifier).join(', ')})`,
      facts: { object: table.name, columns: [...key] },
    });
  }
  const wrong = differences(table, before, history ? Object.values(history) : []);
  if (wrong.length === 0) return before;
  const evolving = schema === 'evolve';
  if (!evolving || wrong.some(({ curable }) => !curable))
    throw driftError(table, evolving ? wrong.filter(({ curable }) => !curable) : wrong, evolving);
  await session.execute(`ALTER TABLE ${quoteName(table.name)} ${wrong.flatMap(({ alter }) => alter).join(', ')}`, table.name);
  return existing(await findRelation(session, table.name), settings);
}

/** @throws UNSUPPORTED for a view, and for a table that takes no part in transactions */
export function assertTransactional({ database, name, kind, engine }: Relation): void {
  if (kind === 'table' && /^InnoDB$/i.test(engine ?? '')) return;
  throw new MillraceError('UNSUPPORTED', {
    message: `${name} is ${kind === 'view' ? 'a view' : `a table of ${engine ?? 'no engine'}`}, which cannot take rows and checkpoint in one transaction.`,
    remedy: kind === 'view' ? 'Name the table itself.' : `ALTER TABLE ${quoteName({ database, name })} ENGINE=InnoDB`,
    facts: { object: name, engine },
  });
}

/** A merge needs rows that are held apart by the key; a history finds them by the key, and tells versions apart by when they began. */
function isIndexed({ uniqueKeys }: Relation, key: readonly string[], mode: 'merge' | 'history'): boolean {
  return uniqueKeys.some(
    (columns) => key.every((column) => columns.includes(column)) && (mode === 'history' || columns.length === key.length),
  );
}

async function create(session: Session, settings: TableSettings): Promise<Relation> {
  await session.execute(createTable(settings.table, settings.history, session.server.flavour), settings.table.name);
  passing('mysql.table.created');
  return existing(await findRelation(session, settings.table.name), settings);
}

/**
 * What stands between the declaration and the table. A column of the table that the declaration lacks counts only where no row could be
 * inserted without it; a column that may be NULL there and not here takes all rows, so it does not count.
 */
export function differences(table: RowSchema, real: Relation, extra: readonly string[]): Difference[] {
  const { columns: declared } = table;
  const columns = new Map(real.columns.map((column) => [column.name, column]));
  const keys = keyTypes(table);
  const isMade = ({ name, sqlType: made }: CatalogColumn): boolean => {
    const wanted = keys.get(name);
    return wanted !== undefined && 'sql' in wanted && wanted.sql === made;
  };
  const known = new Set([...declared.map(({ name }) => name), ...extra]);
  return [
    ...declared.flatMap((column) => {
      const found = columns.get(column.name);
      if (!found) return [lacking(column)];
      return isMade(found) ? [] : between(column, found);
    }),
    ...extra.filter((name) => !columns.has(name)).map((name) => incurable(name, `"${name}", which the history fills, is not in the table`)),
    ...real.columns
      .filter((column) => !known.has(column.name) && column.notNull && !column.hasDefault && !column.generated && !column.autoIncrement)
      .map(({ name }) => incurable(name, `"${name}" must not be NULL in the table, and rows do not bring it`)),
  ];
}

function lacking({ name, type, nullable }: ColumnSchema): Difference {
  const message = `"${name}" (${typeName(type)}) is not in the table`;
  if (!nullable)
    return incurable(name, `${message}; rows that are there would need a value for it, so add it by hand or declare it orNull()`);
  return { column: name, message, alter: [`ADD COLUMN ${columnSql(quoteIdentifier(name), type, true)}`], before: [], curable: true };
}

function between(declared: ColumnSchema, real: CatalogColumn): Difference[] {
  const { name, type, nullable } = declared;
  const found: Difference[] = [];
  if (!real.generated && !holds(real, type)) {
    const message = `"${name}" is ${real.sqlType} in the table and ${typeName(type)} in the declaration`;
    const to = sqlType(type);
    const widens = 'sql' in to && fidelity(real.type, type) === 'widening';
    if (!widens) found.push(incurable(name, message));
    else if (real.hasMore) found.push(incurable(name, `${message}${losesMore}`));
    else found.push({ column: name, message, alter: [`MODIFY COLUMN ${widened(real, to.sql, declared)}`], before: [], curable: true });
  } else if (nullable && real.notNull && !real.generated) {
    const message = `"${name}" must not be NULL in the table and may be in the declaration`;
    if (real.hasMore) found.push(incurable(name, `${message}${losesMore}`));
    else {
      const alter = [`MODIFY COLUMN ${quoteIdentifier(name)} ${definitionOf(real)} NULL`];
      found.push({ column: name, message, alter, before: [], curable: true });
    }
  }
  return found;
}

/** MySQL changes a column by having all of it said again, and how it prints defaults cannot always be read back. */
const losesMore =
  '; it has a default, AUTO_INCREMENT, ON UPDATE or a comment, which a change would take away, so change it by hand (ALTER TABLE … MODIFY COLUMN)';

/** The wider type, with the character set and the collation that the column has: its values go on comparing as they do. */
function widened(real: CatalogColumn, sql: string, { name, type, nullable }: ColumnSchema): string {
  const isNullable = nullable || !real.notNull;
  const isText = real.charset !== null && /^(varchar|char|longtext)/.test(sql);
  if (!isText) return columnSql(quoteIdentifier(name), type, isNullable);
  return `${quoteIdentifier(name)} ${definitionOf({ ...real, sqlType: sql })} ${isNullable ? 'NULL' : 'NOT NULL'}`;
}

/** Columns in which a value may become another one without an error or a warning, also in strict mode: whether it fits must be known before. */
export const bends = ({ dataType, sqlType: real }: CatalogColumn): boolean =>
  /^(binary|char|year|set|enum|datetime|timestamp|time)$/.test(dataType) || roundsToDecimals(real);

const roundsToDecimals = (real: string): boolean => /^(float|double|real)\(\d+,\d+\)/i.test(real);

/** Whether the column takes values of the declared type: as its own type, as a wider one, or as what `sqlType` makes of it. */
export function holds(real: CatalogColumn, declared: ColumnType): boolean {
  const to = baseType(declared);
  const length = real.type.kind === 'varchar' ? (real.type.length ?? 0) : 0;
  switch (real.dataType) {
    case 'binary': // is filled up with zeros
      return to.kind === 'uuid' && real.sqlType === 'binary(16)';
    case 'char': // loses blanks at the end
      return (to.kind === 'char' && length >= to.length) || (to.kind === 'uuid' && length >= 36);
    case 'year': // takes 5 for 2005
    case 'set': // is put in order, and takes numbers for members
      return false;
    case 'enum': // takes other case, and numbers for labels
      return to.kind === 'enum' && to.labels.every((label) => labelsOf(real.sqlType).includes(label));
  }
  if (roundsToDecimals(real.sqlType)) return false;
  if (fidelity(to, real.type) !== 'lossy') return true;
  switch (to.kind) {
    case 'bool':
      return real.dataType === 'tinyint' || real.sqlType === 'bit(1)';
    case 'time':
      return real.dataType === 'time' && Number(/\d/.exec(real.sqlType)?.[0] ?? 0) >= (to.precision ?? 6);
    case 'json':
    case 'jsonb':
      return real.type.kind === 'json';
    case 'enum':
      return false;
    default: {
      const made = sqlType(to);
      if (!('sql' in made) || made.kept !== 'text') return false;
      if (real.dataType === 'longtext') return true;
      const needed = /^varchar\((\d+)\)$/.exec(made.sql)?.[1];
      return needed !== undefined && length >= Number(needed);
    }
  }
}

const incurable = (column: string, message: string): Difference => ({ column, message, alter: [], before: [], curable: false });

function existing(table: Relation | null, settings: TableSettings): Relation {
  if (table) return table;
  throw missing(settings);
}

function missing({ table, schema }: TableSettings): MillraceError {
  return new MillraceError('TABLE_MISSING', {
    message: `There is no table ${table.name} to load into.`,
    remedy:
      schema === 'strict'
        ? `Create it, or load with schema: 'create' to have it made from the table() declaration.`
        : 'Look for somebody who drops it.',
    facts: { table: table.name },
  });
}

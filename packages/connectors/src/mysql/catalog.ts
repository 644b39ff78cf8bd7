import { type ColumnType, MillraceError } from '@millrace/core/runtime';
import { type Form, typeOf } from './column-type.ts';
import { parseName, type QualifiedName, showName } from './identifier.ts';
import { literal } from './literal.ts';
import type { Session, TextRow } from './session.ts';

/** A table or view as the database has it now. */
export interface Relation {
  readonly database: string;
  readonly name: string;
  readonly kind: 'table' | 'view';
  /** `InnoDB`; null for a view. */
  readonly engine: string | null;
  readonly collation: string | null;
  readonly columns: readonly CatalogColumn[];
  /** Columns of the primary key, in its order; empty where there is none. */
  readonly primaryKey: readonly string[];
  /** Column sets that a unique index over whole columns holds apart, the primary key among them. */
  readonly uniqueKeys: readonly (readonly string[])[];
  /** All unique indexes, those over expressions and beginnings of values too. */
  readonly uniqueIndexes: number;
  /** What the statistics guess. */
  readonly rows: number;
  readonly bytes: number;
}

export interface CatalogColumn {
  readonly name: string;
  /** The type that holds every value; see `column-type.ts`. */
  readonly type: ColumnType;
  readonly form: Form;
  /** `int` */
  readonly dataType: string;
  /** `int(10) unsigned`, as DDL writes it, without the character set. */
  readonly sqlType: string;
  readonly charset: string | null;
  readonly collation: string | null;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  /** Computed by the database: nothing can be written to it. */
  readonly generated: boolean;
  readonly autoIncrement: boolean;
  /** A default, ON UPDATE, AUTO_INCREMENT, a comment or the like: what MODIFY COLUMN takes away where it does not repeat it. */
  readonly hasMore: boolean;
}

/** @throws TABLE_MISSING, IDENTIFIER_INVALID */
export async function readRelation(session: Session, name: string | QualifiedName): Promise<Relation> {
  const relation = await findRelation(session, name);
  if (relation) return relation;
  const shown = typeof name === 'string' ? name : showName(name);
  throw new MillraceError('TABLE_MISSING', {
    message: `${session.place.label}: there is no table or view "${shown}" that user "${session.place.user}" can see.`,
    remedy:
      'Check the name and its database (letters keep their case here), and that the user has SELECT on it. "millrace introspect" lists the tables there are.',
    facts: { object: shown },
  });
}

/** @throws CONFIG_INVALID where neither the name nor the connection has a database */
export async function findRelation(session: Session, name: string | QualifiedName): Promise<Relation | null> {
  const { database, name: table } = typeof name === 'string' ? parseName(name) : name;
  const schema = literal(databaseOf(session, database, table));
  const at = `table_schema = ${schema} AND table_name = ${literal(table)}`;
  const row = await readTable(session, at, table);
  if (!row) return null;
  const keys = await readKeys(session, at, table);
  return {
    database: row['schema'] ?? '',
    name: row['name'] ?? '',
    kind: isView(row) ? 'view' : 'table',
    engine: row['engine'] ?? null,
    collation: row['collation'] ?? null,
    columns: await readColumns(session, at, schema, table),
    primaryKey: keys.get('PRIMARY') ?? [],
    uniqueKeys: [...keys.values()].filter((columns) => columns !== null),
    uniqueIndexes: keys.size,
    rows: Number(row['rows_']),
    bytes: Number(row['bytes']),
  };
}

/** How often the server is asked again about a table that is just being altered, and how many milliseconds later. */
const looks = 30;
const lookEvery = 100;

/** @throws LOAD_CONFLICT for a table that cannot be looked into for seconds, since it is being altered */
async function readTable(session: Session, at: string, table: string): Promise<TextRow | null> {
  for (let look = 1; ; look++) {
    const [row] = await session.query(
      `SELECT table_schema AS \`schema\`, table_name AS name, table_type AS kind, engine AS engine, table_collation AS collation,
         coalesce(table_rows, 0) AS rows_, coalesce(data_length, 0) AS bytes, table_comment AS comment_ FROM information_schema.tables WHERE ${at}`,
      table,
    );
    if (!row) return null;
    // An engine that is NULL stands for a table that could not be opened; then nothing of the rest is known either.
    if (isView(row) || row['engine'] != null) return row;
    if (look === looks) throw closed(session, table, row['comment_'] ?? '');
    await new Promise((resolve) => setTimeout(resolve, lookEvery));
  }
}

const isView = (row: TextRow): boolean => row['kind'] === 'VIEW' || row['kind'] === 'SYSTEM VIEW';

const closed = (session: Session, table: string, reason: string): MillraceError =>
  new MillraceError('LOAD_CONFLICT', {
    message: `${session.place.label}: the server cannot look into "${table}"${reason === '' ? '' : `: ${reason}`}.`,
    remedy:
      'Nothing to do where it is just being altered: it is tried again. If it stays, CHECK TABLE and the error log of the server say why.',
    facts: { object: table },
  });

/** Columns of unique indexes, by name; null for one that does not hold whole columns apart. */
async function readKeys(session: Session, at: string, table: string): Promise<Map<string, string[] | null>> {
  const parts = await session.query(
    `SELECT index_name AS name, column_name AS column_, sub_part AS part FROM information_schema.statistics WHERE ${at} AND non_unique = 0 ORDER BY index_name, seq_in_index`,
    table,
  );
  const keys = new Map<string, string[] | null>();
  for (const { name, column_: column, part } of parts) {
    const before = keys.get(name ?? '');
    // An expression has no column, a prefix does not hold whole values apart.
    const isWhole = before !== null && column != null && part == null;
    keys.set(name ?? '', isWhole ? [...(before ?? []), column] : null);
  }
  return keys;
}

export function databaseOf(session: Session, database: string | null, object: string): string {
  const found = database ?? session.place.database;
  if (found !== '') return found;
  throw new MillraceError('CONFIG_INVALID', {
    message: `${session.place.label}: neither "${object}" nor the connection's URL says in which database it is.`,
    remedy: 'End the URL with /database, or write database.table.',
    facts: { object },
  });
}

async function readColumns(session: Session, at: string, schema: string, table: string): Promise<CatalogColumn[]> {
  const rows = await session.query(
    `SELECT column_name AS name, data_type AS data_type, column_type AS column_type, is_nullable AS nullable, column_default IS NOT NULL AS has_default, column_default AS default_, column_comment AS comment_,
       extra AS extra, character_maximum_length AS length_, numeric_precision AS precision_, numeric_scale AS scale_, datetime_precision AS fraction,
       character_set_name AS charset_, collation_name AS collation_ FROM information_schema.columns WHERE ${at} ORDER BY ordinal_position`,
    table,
  );
  const json = session.server.flavour === 'mariadb' ? await checkedJson(session, schema, table) : new Set<string>();
  return rows.map((row) => columnOf(row, json));
}

/** `col json` is in MariaDB a longtext with the constraint json_valid(`col`). */
async function checkedJson(session: Session, schema: string, table: string): Promise<Set<string>> {
  const rows = await session.query(
    `SELECT check_clause AS clause FROM information_schema.check_constraints WHERE constraint_schema = ${schema} AND table_name = ${literal(table)}`,
    table,
  );
  return new Set(rows.flatMap((row) => /^json_valid\(`((?:[^`]|``)+)`\)$/i.exec(row['clause'] ?? '')?.[1]?.replaceAll('``', '`') ?? []));
}

function columnOf(row: TextRow, json: ReadonlySet<string>): CatalogColumn {
  const number = (field: string): number | null => (row[field] == null ? null : Number(row[field]));
  const name = row['name'] ?? '';
  const dataType = (row['data_type'] ?? '').toLowerCase();
  const columnType = row['column_type'] ?? '';
  const extra = (row['extra'] ?? '').toUpperCase();
  const { type, form } = typeOf({
    dataType,
    columnType,
    length: number('length_'),
    precision: number('precision_'),
    scale: number('scale_'),
    fraction: number('fraction'),
    checkedJson: json.has(name),
  });
  return {
    name,
    type,
    form,
    dataType,
    sqlType: columnType,
    charset: row['charset_'] ?? null,
    collation: row['collation_'] ?? null,
    notNull: row['nullable'] === 'NO',
    hasDefault: row['has_default'] === '1',
    generated: /\b(VIRTUAL|STORED|PERSISTENT) GENERATED\b|^(VIRTUAL|PERSISTENT)/.test(extra),
    autoIncrement: extra.includes('AUTO_INCREMENT'),
    // MariaDB writes down that the default is NULL.
    hasMore: extra !== '' || (row['comment_'] ?? '') !== '' || !/^NULL$/i.test(row['default_'] ?? 'NULL'),
  };
}

/** The columns that a SELECT answers with, by way of a view-like look at its first row. Whether they may be NULL is not known of a query. */
export async function readQuery(session: Session, select: string, object: string): Promise<CatalogColumn[]> {
  const { columns } = await session.execute(`SELECT * FROM (${select}\n) AS q LIMIT 0`, object);
  return columns.map(({ name, type, charset, width, flags, decimals }) => {
    const facts = answerFacts(type, charset, width, flags, decimals);
    const { type: found, form } = typeOf(facts);
    return {
      name,
      type: found,
      form,
      dataType: facts.dataType,
      sqlType: facts.columnType,
      charset: null,
      collation: null,
      notNull: false,
      hasDefault: false,
      generated: false,
      autoIncrement: false,
      hasMore: false,
    };
  });
}

const binaryCharset = 63;
const flagUnsigned = 0x20;
const flagEnum = 0x100;
const flagSet = 0x800;
/** Of a session in utf8mb4: a column's width is in bytes. */
const bytesOfCharacter = 4;

/** `enum_field_types` of the protocol, as far as a query can answer with them. */
const answerTypes: Readonly<Record<number, string>> = {
  0: 'decimal',
  1: 'tinyint',
  2: 'smallint',
  3: 'int',
  4: 'float',
  5: 'double',
  7: 'timestamp',
  8: 'bigint',
  9: 'mediumint',
  10: 'date',
  11: 'time',
  12: 'datetime',
  13: 'year',
  16: 'bit',
  242: 'vector',
  245: 'json',
  246: 'decimal',
  255: 'geometry',
};

function answerFacts(type: number, charset: number, width: number, flags: number, decimals: number) {
  const characters = charset !== binaryCharset;
  const known = answerTypes[type];
  const isUnsigned = (flags & flagUnsigned) !== 0;
  // Enums and sets answer as strings; how long their labels may be is not said.
  const dataType =
    known ?? (flags & (flagEnum | flagSet) ? 'set' : characters ? (type === 253 || type === 254 ? 'varchar' : 'text') : 'blob');
  const scale = dataType === 'decimal' ? decimals : null;
  const sign = isUnsigned ? 0 : 1;
  return {
    dataType,
    columnType: `${dataType}${isUnsigned ? ' unsigned' : ''}`,
    length: dataType === 'varchar' ? Math.floor(width / bytesOfCharacter) : null,
    precision: dataType === 'decimal' ? width - sign - (decimals > 0 ? 1 : 0) : dataType === 'bit' ? width : null,
    scale,
    fraction: ['datetime', 'timestamp', 'time'].includes(dataType) ? Math.min(decimals, 6) : null,
    checkedJson: false,
  };
}

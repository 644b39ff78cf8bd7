import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import { type CatalogTable, showTable } from './catalog-table.ts';

/** A publication as it is now. */
export interface Publication {
  readonly name: string;
  readonly allTables: boolean;
  readonly viaRoot: boolean;
  /** Stored generated columns come too (18 and later). */
  readonly generated: boolean;
  /** What it publishes of `insert`, `update`, `delete`, `truncate`. */
  readonly operations: readonly string[];
  /** Tables that it names; not those it has by their schema. */
  readonly tables: readonly PublishedTable[];
  /** Of schemas that it has as a whole (15 and later). */
  readonly schemas: readonly string[];
}

export interface PublishedTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** A WHERE that leaves rows out (15 and later). */
  readonly filter: boolean;
  /** Column names, where it has a list of them (15 and later). */
  readonly columns: readonly string[] | null;
}

const everything = ['insert', 'update', 'delete', 'truncate'] as const;

export async function readPublication(session: Session, name: string): Promise<Publication | null> {
  const [row] = await session.query(
    `select oid, puballtables as all_tables, pubviaroot as via_root, ${session.version >= 180_000 ? "pubgencols = 's'" : 'false'} as generated, pubinsert as insert, pubupdate as update, pubdelete as delete, pubtruncate as truncate
     from pg_publication where pubname = $1`,
    [name],
  );
  if (!row) return null;
  const recent = session.version >= 150_000;
  const tables = await session.query(
    `select c.oid, n.nspname as schema, c.relname as name, ${recent ? 'r.prqual is not null' : 'false'} as filter,
       ${recent ? '(select json_agg(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum = any(r.prattrs::int2[]))' : 'null'} as columns
     from pg_publication_rel r join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
     where r.prpubid = $1::oid order by 2, 3`,
    [row['oid'] ?? ''],
  );
  const schemas = recent
    ? await session.query(
        'select n.nspname as schema from pg_publication_namespace p join pg_namespace n on n.oid = p.pnnspid where p.pnpubid = $1::oid',
        [row['oid'] ?? ''],
      )
    : [];
  return {
    name,
    allTables: row['all_tables'] === 't',
    viaRoot: row['via_root'] === 't',
    generated: row['generated'] === 't',
    operations: everything.filter((operation) => row[operation] === 't'),
    tables: tables.map((table) => ({
      oid: Number(table['oid']),
      schema: table['schema'] ?? '',
      name: table['name'] ?? '',
      filter: table['filter'] === 't',
      columns: table['columns'] ? (JSON.parse(table['columns']) as string[]) : null,
    })),
    schemas: schemas.map((schema) => schema['schema'] ?? ''),
  };
}

/** Of a publication only what it publishes, for looks that are taken every few seconds. */
export async function readPublishing(session: Session, name: string): Promise<Pick<Publication, 'operations' | 'viaRoot'> | null> {
  const [row] = await session.query(
    'select pubviaroot as via_root, pubinsert as insert, pubupdate as update, pubdelete as delete, pubtruncate as truncate from pg_publication where pubname = $1',
    [name],
  );
  return row ? { operations: everything.filter((operation) => row[operation] === 't'), viaRoot: row['via_root'] === 't' } : null;
}

/**
 * Makes our own publication be what the stream needs. It has to be there before the slot is, since a slot sees the publications of the
 * moment it decodes.
 */
export async function keepPublication(session: Session, name: string, tables: readonly CatalogTable[]): Promise<void> {
  for (const statement of publicationStatements(name, await readPublication(session, name), tables, session.version)) {
    try {
      await session.execute(statement, [], `publication "${name}"`);
    } catch (error) {
      // Somebody was quicker with the same.
      if (!isMillraceError(error) || error.facts['sqlstate'] !== '42710') throw error;
    }
  }
}

/** Pure. No statement where nothing is to be done, so that a user without the privilege can go on with what is there. */
export function publicationStatements(
  name: string,
  found: Publication | null,
  tables: readonly CatalogTable[],
  version: number,
): readonly string[] {
  const quoted = quoteIdentifier(name);
  const list = (of: readonly Pick<CatalogTable, 'schema' | 'name'>[]): string => of.map(quoteName).join(', ');
  const generated = version >= 180_000 && tables.some(({ columns }) => columns.some((column) => column.generated && !column.virtual));
  const options = ['publish_via_partition_root = true', ...(generated ? ['publish_generated_columns = stored'] : [])].join(', ');
  if (!found) return [`CREATE PUBLICATION ${quoted} FOR TABLE ${list(tables)} WITH (${options})`];
  const missing = tables.filter(({ oid }) => !found.tables.some((table) => table.oid === oid));
  const odd = found.tables.filter((table) => !tables.some(({ oid }) => oid === table.oid));
  const changed = found.tables.some((table) => (table.filter || table.columns) && tables.some(({ oid }) => oid === table.oid));
  return [
    ...(found.viaRoot && found.operations.length === everything.length && (found.generated || !generated)
      ? []
      : [`ALTER PUBLICATION ${quoted} SET (publish = '${everything.join(', ')}', ${options})`]),
    ...(changed ? [`ALTER PUBLICATION ${quoted} SET TABLE ${list(tables)}`] : []),
    ...(!changed && missing.length > 0 ? [`ALTER PUBLICATION ${quoted} ADD TABLE ${list(missing)}`] : []),
    ...(!changed && odd.length > 0 ? [`ALTER PUBLICATION ${quoted} DROP TABLE ${list(odd)}`] : []),
  ];
}

/** What a publication leaves out of tables that it has, in a sentence's end; null where it leaves out nothing. Pure. */
export function leftOut(found: Pick<Publication, 'operations' | 'viaRoot'>, tables: readonly CatalogTable[]): string | null {
  const missing = missingOperations(found);
  if (missing.length > 0) return `leaves out ${missing.join(', ')}`;
  return !found.viaRoot && tables.some(({ isPartitioned }) => isPartitioned) ? 'publishes partitions under their own names' : null;
}

const missingOperations = ({ operations }: Pick<Publication, 'operations'>): readonly string[] =>
  everything.filter((operation) => !operations.includes(operation));

/** What is wrong with a publication for these tables, in one sentence each. Pure. */
export function publicationProblems(
  found: Publication,
  tables: readonly { readonly table: CatalogTable; readonly columns: readonly string[] }[],
): readonly { readonly message: string; readonly remedy: string }[] {
  const quoted = quoteIdentifier(found.name);
  const problems: { message: string; remedy: string }[] = [];
  const missing = missingOperations(found);
  if (missing.length > 0) {
    problems.push({
      message: `publication "${found.name}" leaves out ${missing.join(', ')}`,
      remedy: `ALTER PUBLICATION ${quoted} SET (publish = '${everything.join(', ')}');`,
    });
  }
  for (const { table, columns } of tables) {
    const shown = showTable(table);
    const entry = found.tables.find(({ oid }) => oid === table.oid);
    if (!entry && !found.allTables && !found.schemas.includes(table.schema)) {
      problems.push({
        message: `publication "${found.name}" does not have ${shown}`,
        remedy: `ALTER PUBLICATION ${quoted} ADD TABLE ${quoteName(table)};`,
      });
    }
    if (entry?.filter) {
      problems.push({
        message: `publication "${found.name}" leaves out rows of ${shown} (a WHERE)`,
        remedy: `Publish the table without WHERE, and filter() its changes in the pipeline.`,
      });
    }
    const left = entry?.columns ? columns.filter((column) => !entry.columns?.includes(column)) : [];
    if (left.length > 0) {
      problems.push({
        message: `publication "${found.name}" leaves out columns of ${shown}: ${left.join(', ')}`,
        remedy: `Add them to the column list of the publication, or publish the table without one.`,
      });
    }
    const computed = table.columns.filter(({ name, generated, virtual }) => generated && !virtual && columns.includes(name));
    if (computed.length > 0 && !found.generated && !entry?.columns) {
      problems.push({
        message: `publication "${found.name}" leaves out generated columns of ${shown}: ${computed.map(({ name }) => name).join(', ')}`,
        remedy: `ALTER PUBLICATION ${quoted} SET (publish_generated_columns = stored);`,
      });
    }
    if (table.isPartitioned && !found.viaRoot) {
      problems.push({
        message: `publication "${found.name}" publishes the partitions of ${shown} under their own names`,
        remedy: `ALTER PUBLICATION ${quoted} SET (publish_via_partition_root = true);`,
      });
    }
  }
  return problems;
}

/** @throws TABLE_MISSING, UNSUPPORTED */
export async function checkPublication(
  session: Session,
  name: string,
  tables: readonly { readonly table: CatalogTable; readonly columns: readonly string[] }[],
): Promise<void> {
  const found = await readPublication(session, name);
  if (!found) {
    throw new MillraceError('TABLE_MISSING', {
      message: `${session.place.label}: there is no publication "${name}".`,
      remedy: `CREATE PUBLICATION ${quoteIdentifier(name)} FOR TABLE ${tables.map(({ table }) => quoteName(table)).join(', ')} WITH (publish_via_partition_root = true);`,
      facts: { publication: name },
    });
  }
  const problems = publicationProblems(found, tables);
  if (problems.length > 0) {
    throw new MillraceError('UNSUPPORTED', {
      message: `${session.place.label}: ${problems.map(({ message }) => message).join('; ')}.`,
      remedy: problems.map(({ remedy }) => remedy).join(' '),
      facts: { publication: name },
    });
  }
}

/** Names the entry by which a publication has a table, so that one that was taken out and put back can be told. Null where it has none. */
export async function publicationEntries(
  session: Session,
  name: string,
  tables: readonly CatalogTable[],
): Promise<(table: CatalogTable) => string | null> {
  const rows = await session.query(
    `select p.oid::text as publication, p.puballtables as all_tables, r.oid::text as entry, r.prrelid::text as relation
     from pg_publication p left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = any($2::oid[]) where p.pubname = $1`,
    [name, `{${tables.map(({ oid }) => oid).join(',')}}`],
  );
  return ({ oid }) => {
    const [first] = rows;
    if (!first) return null;
    const entry = rows.find((row) => row['relation'] === String(oid));
    return `${first['publication']}/${entry?.['entry'] ?? '*'}`;
  };
}

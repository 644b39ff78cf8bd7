import type { CapturedTable, Finding } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteName } from '../identifier.ts';
import { type CatalogTable, generatedProblem, showTable } from './catalog-table.ts';
import type { Say } from './examine.ts';

/** What the catalog says of one table that a stream depends on. */
interface TableFacts {
  readonly persistence: string;
  /** `d`, `n`, `f`, `i`. */
  readonly identity: string;
  /** Columns that stand for a row in updates and deletes, by name. */
  readonly identityColumns: readonly string[];
  readonly hasPrimaryKey: boolean;
  readonly rowSecurity: boolean;
  readonly readable: boolean;
  /** Columns whose values may stand outside of the row. */
  readonly toastable: readonly string[];
  /** Partitions whose identity is another one than that of the table. */
  readonly odd: readonly string[];
}

export async function examineTables(
  session: Session,
  say: Say,
  tables: Readonly<Record<string, CapturedTable>>,
  catalogs: ReadonlyMap<string, CatalogTable>,
  isStreaming: boolean,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [table, catalog] of catalogs) {
    const captured = tables[table];
    if (captured) findings.push(...examineTable(session, say, catalog, captured, await readFacts(session, catalog), isStreaming));
  }
  return findings;
}

function examineTable(
  session: Session,
  say: Say,
  catalog: CatalogTable,
  { schema }: CapturedTable,
  facts: TableFacts,
  isStreaming: boolean,
): Finding[] {
  const shown = showTable(catalog);
  const quoted = quoteName(catalog);
  const findings: Finding[] = [];
  if (facts.persistence !== 'p')
    findings.push(say('problem', `${shown} is unlogged: its changes are not in the log`, `ALTER TABLE ${quoted} SET LOGGED;`));
  if (!facts.readable)
    findings.push(say('problem', `"${session.place.user}" may not read ${shown}`, `GRANT SELECT ON ${quoted} TO "${session.place.user}";`));
  if (facts.rowSecurity)
    findings.push(
      say(
        'problem',
        `row-level security of ${shown} hides rows from "${session.place.user}" when the table is copied, and hides none of their changes`,
        `Use the owner of the table or a role with BYPASSRLS.`,
      ),
    );
  const missing = schema.columns.filter((column) => !catalog.columns.some(({ name }) => name === column.name));
  const isKeyThere = !schema.key?.some((key) => missing.some(({ name }) => name === key));
  if (isKeyThere || !isStreaming) findings.push(...identityOf(say, shown, quoted, schema.key ?? [], facts));
  if (missing.length > 0)
    findings.push(
      say(
        // What became of a column since the stream began the stream tells itself, and the pipeline's policy decides.
        isStreaming ? 'warning' : 'problem',
        `${shown} has no column ${missing.map(({ name }) => `"${name}"`).join(', ')}`,
        'Correct the table() declaration; "millrace introspect" writes it anew.',
      ),
    );
  const generated = generatedProblem(
    session.version,
    catalog,
    schema.columns.map(({ name }) => name),
  );
  if (generated) findings.push(say('problem', generated.message, generated.remedy));
  if (!findings.some(({ level }) => level === 'problem')) findings.push(say('ok', `${shown} can be followed`));
  return findings;
}

function identityOf(say: Say, shown: string, quoted: string, key: readonly string[], facts: TableFacts): Finding[] {
  const full = `ALTER TABLE ${quoted} REPLICA IDENTITY FULL;`;
  const isNothing =
    facts.identity === 'n' ||
    (facts.identity === 'd' && !facts.hasPrimaryKey) ||
    (facts.identity === 'i' && facts.identityColumns.length === 0);
  if (isNothing)
    return [
      say(
        'problem',
        `${shown} has no replica identity: now that it is published, the source refuses every update and delete of it`,
        facts.hasPrimaryKey ? `ALTER TABLE ${quoted} REPLICA IDENTITY DEFAULT;` : `Give it a primary key, or: ${full}`,
      ),
    ];
  const findings: Finding[] = [];
  if (facts.odd.length > 0)
    findings.push(
      say(
        'problem',
        `partitions of ${shown} have another replica identity than the table: ${facts.odd.slice(0, 5).join(', ')}`,
        `Set the same for each: ALTER TABLE … REPLICA IDENTITY …;`,
      ),
    );
  if (key.length === 0)
    return [
      ...findings,
      say('warning', `${shown} is declared without a key: only a log of its changes can be kept`, 'Add { key: […] } to its table().'),
    ];
  if (facts.identity !== 'f') {
    const unknown = key.filter((column) => !facts.identityColumns.includes(column));
    if (unknown.length > 0)
      findings.push(
        say(
          'problem',
          `a delete in ${shown} says ${facts.identityColumns.join(', ')} and not ${unknown.join(', ')}, which is part of its declared key`,
          `Declare the key as (${facts.identityColumns.join(', ')}), or: ${full}`,
        ),
      );
    if (facts.toastable.length > 0)
      findings.push(
        say(
          'ok',
          `an update in ${shown} leaves out long values of ${facts.toastable.join(', ')} that it did not change; targets that keep rows keep them, a log of changes has them only with REPLICA IDENTITY FULL`,
        ),
      );
  }
  return findings;
}

async function readFacts(session: Session, { oid }: CatalogTable): Promise<TableFacts> {
  const [row] = await session.query(
    `with recursive tree(oid) as (select $1::oid union select i.inhrelid from pg_inherits i join tree on i.inhparent = tree.oid),
       identity as (
         select c.oid, c.relreplident, (select json_agg(a.attname order by a.attnum) from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])
           where i.indrelid = c.oid and case c.relreplident when 'i' then i.indisreplident when 'd' then i.indisprimary else false end) as columns
         from tree join pg_class c using (oid))
     select c.relpersistence as persistence, c.relreplident as identity, i.columns::text as columns,
       exists (select from pg_index k where k.indrelid = c.oid and k.indisprimary) as has_primary,
       row_security_active(c.oid) as row_security, has_table_privilege(c.oid, 'select') or has_any_column_privilege(c.oid, 'select') as readable,
       (select json_agg(a.attname order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          and a.attstorage <> 'p' and a.attlen = -1 and not (a.atttypid = any('{1700,1560,1562}'::oid[]))) as toastable,
       (select json_agg(p.oid::regclass::text) from identity p join pg_class pc on pc.oid = p.oid where p.oid <> c.oid and pc.relkind = 'r' and (p.relreplident <> c.relreplident)) as odd
     from pg_class c join identity i using (oid) where c.oid = $1::oid`,
    [oid],
  );
  const list = (name: string): string[] => (row?.[name] ? (JSON.parse(row[name]) as string[]) : []);
  return {
    persistence: row?.['persistence'] ?? 'p',
    identity: row?.['identity'] ?? 'd',
    identityColumns: list('columns'),
    hasPrimaryKey: row?.['has_primary'] === 't',
    rowSecurity: row?.['row_security'] === 't',
    readable: row?.['readable'] === 't',
    toastable: list('toastable'),
    odd: list('odd'),
  };
}

import type { Finding } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { type CatalogTable, showTable } from './catalog-table.ts';
import type { Say } from './examine.ts';

/**
 * Tables whose rows come under another name than their copy was made under: a change is sent once, as one of a table or of the root that it is a
 * partition of, so whoever else was to have it would stay behind without a word.
 */
export async function examineOverlap(session: Session, say: Say, catalogs: ReadonlyMap<string, CatalogTable>): Promise<Finding[]> {
  const findings: Finding[] = [];
  const byOid = new Map<number, string>();
  for (const [name, catalog] of catalogs) {
    const other = byOid.get(catalog.oid);
    if (other !== undefined)
      findings.push(
        say(
          'problem',
          `"${other}" and "${name}" are the same table, ${showTable(catalog)}: its changes would come to one of them only`,
          `Leave one of them out of the capture; a target can have it twice by two loads.`,
        ),
      );
    byOid.set(catalog.oid, name);
  }
  const rows = await session.query(
    `with recursive above (oid, ancestor) as (
       select inhrelid, inhparent from pg_inherits where inhrelid = any($1::oid[])
       union select a.oid, i.inhparent from above a join pg_inherits i on i.inhrelid = a.ancestor)
     select 'partition' as what, a.oid::regclass::text as child, a.ancestor::regclass::text as parent
     from above a join pg_class c on c.oid = a.ancestor where a.ancestor = any($1::oid[]) and c.relkind = 'p'
     union all
     select 'heir', min(i.inhrelid::regclass::text), i.inhparent::regclass::text
     from pg_inherits i join pg_class c on c.oid = i.inhparent where i.inhparent = any($1::oid[]) and c.relkind = 'r' group by i.inhparent
     order by 1, 2, 3`,
    [`{${[...byOid.keys()].join(',')}}`],
  );
  for (const { what, child, parent } of rows)
    findings.push(
      what === 'partition'
        ? say(
            'problem',
            `${child} is a partition of ${parent}, which is captured too: its changes come as those of ${parent} only`,
            'Leave one of the two out of the capture.',
          )
        : say(
            'problem',
            `${child} inherits from ${parent}: a copy of ${parent} has its rows, and their changes do not come as changes of ${parent}`,
            `Make ${parent} a partitioned table, capture the tables that inherit from it in its place, or: ALTER TABLE ${child} NO INHERIT ${parent};`,
          ),
    );
  return findings;
}

import { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteName } from '../identifier.ts';
import { type CatalogTable, showTable } from './catalog-table.ts';
import { markIncomplete } from './column-memory.ts';
import { type FollowedParts, remade, unpublished } from './followed-table.ts';
import { leftOut, publicationEntries, readPublishing } from './publication.ts';

export interface FollowedCheck {
  readonly slot: string;
  readonly publication: string;
  readonly pipeline: string;
}

/**
 * Whether the source still sends what a stream under way has been promised: a table that goes by another name, is taken out of the publication or
 * becomes unlogged sends nothing any more, and nothing in the stream says so.
 *
 * @throws RESYNC_REQUIRED, TABLE_MISSING
 */
export async function checkFollowed(session: Session, check: FollowedCheck, followed: readonly FollowedParts[]): Promise<void> {
  const { slot, pipeline } = check;
  const catalogs = followed.map(({ catalog }) => catalog);
  await checkWhole(session, check, catalogs);
  const rows = await session.query(
    `select c.oid::text as oid, c.relpersistence as persistence from json_array_elements_text($1::json) with ordinality w (name, place)
       left join pg_class c on c.oid = to_regclass(w.name) order by place`,
    [JSON.stringify(catalogs.map(quoteName))],
  );
  const entries = await publicationEntries(session, check.publication, catalogs);
  for (const [place, { table, catalog, memory }] of followed.entries()) {
    const shown = showTable(catalog);
    const { oid = null, persistence } = rows[place] ?? {};
    if (oid === null) throw renamed(pipeline, table, shown);
    if (Number(oid) !== catalog.oid) throw remade(table, shown, pipeline);
    if (persistence === 'u') {
      await markIncomplete(session, slot, table);
      throw unlogged(pipeline, table, catalog);
    }
    if (memory && entries(catalog) !== memory.published)
      throw unpublished(pipeline, table, shown, { before: memory.published, now: entries(catalog) });
  }
}

/** Of a publication that is there, of whatever tables. @throws RESYNC_REQUIRED where it leaves something out, now or when a slot was read before */
export async function checkWhole(
  session: Session,
  { slot, publication, pipeline }: FollowedCheck,
  tables: readonly CatalogTable[],
): Promise<void> {
  const found = await readPublishing(session, publication);
  const what = found && leftOut(found, tables);
  if (!what) return;
  // It may be mended before anybody looks again.
  await markIncomplete(session, slot, null);
  throw new MillraceError('RESYNC_REQUIRED', {
    message: `Publication "${publication}" was changed, and ${what}: such changes are not in the stream.`,
    remedy: `Run "millrace resync ${pipeline}" to copy the tables again.`,
    facts: { pipeline, publication },
  });
}

const renamed = (pipeline: string, table: string, name: string): MillraceError =>
  new MillraceError('TABLE_MISSING', {
    message: `There is no table ${name} any more: it was dropped, or goes by another name.`,
    remedy: `Give it its name back and start again; or declare its new name (or leave it out) and run "millrace resync ${pipeline} --table ${table}".`,
    facts: { pipeline, table, name },
  });

const unlogged = (pipeline: string, table: string, catalog: CatalogTable): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message: `${showTable(catalog)} is unlogged now: its changes are not in the stream.`,
    remedy: `ALTER TABLE ${quoteName(catalog)} SET LOGGED; then run "millrace resync ${pipeline} --table ${table}" to copy it again.`,
    facts: { pipeline, table },
  });

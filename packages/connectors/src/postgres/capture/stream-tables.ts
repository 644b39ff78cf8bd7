import { type CapturedTable, type Log, MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { type CatalogTable, readCatalogTable, showTable } from './catalog-table.ts';
import { type ColumnMemories, type ColumnMemory, declaredNumbers, makeHome, memoryOf, readMemories, writeMemory } from './column-memory.ts';
import { readHistories } from './ddl-trigger.ts';
import { type FollowedParts, remade, unpublished } from './followed-table.ts';
import { publicationEntries } from './publication.ts';

type Captured = Readonly<Record<string, CapturedTable>>;

/** The tables as the catalog has them in this session: now, or in the snapshot that it looks at. @throws TABLE_MISSING, SCHEMA_DRIFT */
export async function readTables(session: Session, captured: Captured): Promise<ReadonlyMap<string, CatalogTable>> {
  const tables = new Map<string, CatalogTable>();
  for (const [table, { name }] of Object.entries(captured)) tables.set(table, await readCatalogTable(session, name));
  return tables;
}

/**
 * Remembers the tables that join the stream, as they are in this session. What was remembered of them before is replaced, where everything that
 * came since is declared by now: the copy has the declared columns and no others.
 *
 * @throws SCHEMA_CHANGED
 */
export async function rememberTables(
  session: Session,
  looking: Session,
  slot: string,
  publication: string,
  captured: Captured,
  joining: readonly string[],
): Promise<void> {
  if (!(await makeHome(session))) return;
  const [catalogs, before] = [await readTables(looking, captured), await readMemories(session, slot)];
  const entries = await publicationEntries(session, publication, [...catalogs.values()]);
  for (const table of joining) {
    const catalog = catalogs.get(table) as CatalogTable;
    const declared = namesOf(captured[table] as CapturedTable);
    const earlier = before?.get(table);
    const late = earlier?.oid === catalog.oid ? lateColumns(catalog, earlier, declared) : [];
    if (late.length > 0) {
      throw new MillraceError('SCHEMA_CHANGED', {
        message: `${showTable(catalog)} has got ${list(late)} since it joined the stream, which its table() declaration does not have: a new copy would lose them.`,
        remedy: `Declare them ("millrace introspect" writes the declaration anew), and start again.`,
        facts: { table, columns: late },
      });
    }
    await writeMemory(session, slot, table, memoryOf(catalog, declared, entries(catalog)));
  }
}

/**
 * The tables that are followed from a place in the stream, with what is remembered of them, once it is certain that every change since they
 * joined is in the stream.
 *
 * @throws RESYNC_REQUIRED for a table that is another one, was not published for a while, or has columns declared that were not copied
 */
export async function followedTables(
  session: Session,
  slot: string,
  publication: string,
  captured: Captured,
  pipeline: string,
  log: Log,
): Promise<FollowedParts[]> {
  const catalogs = await readTables(session, captured);
  const memories: ColumnMemories = (await makeHome(session)) ? await readMemories(session, slot) : null;
  if (memories === null) {
    log.warn(
      'This source keeps nothing for Millrace (no schema "_millrace"): columns that are added to a table later are left out until they are declared.',
    );
  }
  const entries = await publicationEntries(session, publication, [...catalogs.values()]);
  const histories = await readHistories(
    session,
    [...catalogs.values()].map(({ oid }) => oid),
  );
  const followed: FollowedParts[] = [];
  for (const [table, { schema, ...rest }] of Object.entries(captured)) {
    const catalog = catalogs.get(table) as CatalogTable;
    const declared = namesOf({ schema, ...rest });
    let memory = memories?.get(table) ?? null;
    if (memories !== null) {
      if (memory) checkMemory(table, catalog, memory, declared, entries(catalog), pipeline);
      const next: ColumnMemory = memory
        ? { ...memory, declared: declaredNow(catalog, memory, declared) }
        : memoryOf(catalog, declared, entries(catalog));
      if (JSON.stringify(next) !== JSON.stringify(memory)) await writeMemory(session, slot, table, next);
      memory = next;
    }
    followed.push({ table, declared: schema, catalog, memory, history: histories.get(catalog.oid) ?? [] });
  }
  return followed;
}

function checkMemory(
  table: string,
  catalog: CatalogTable,
  memory: ColumnMemory,
  declared: readonly string[],
  published: string | null,
  pipeline: string,
): void {
  if (memory.oid !== catalog.oid) throw remade(table, showTable(catalog), pipeline);
  const resync = (message: string, facts: Readonly<Record<string, unknown>>): MillraceError =>
    new MillraceError('RESYNC_REQUIRED', {
      message,
      remedy: `Run "millrace resync ${pipeline} --table ${table}" to copy it again.`,
      facts: { pipeline, table, ...facts },
    });
  if (memory.published !== published) throw unpublished(pipeline, table, showTable(catalog), { before: memory.published, now: published });
  const wereDeclared = new Set(Object.values(memory.declared));
  const werethere = new Set(Object.values(memory.joined));
  const numbers = declaredNow(catalog, memory, declared);
  const uncopied = declared.filter((name) => {
    const number = numbers[name];
    return number !== undefined && werethere.has(number) && !wereDeclared.has(number);
  });
  if (uncopied.length > 0) {
    throw resync(
      `${list(uncopied)} of ${showTable(catalog)} was there when the table was copied and not declared then, so its values were not copied.`,
      {
        columns: uncopied,
      },
    );
  }
}

const declaredNow = (catalog: CatalogTable, memory: ColumnMemory, declared: readonly string[]): Record<string, number> =>
  declaredNumbers(declared, memory.declared, Object.fromEntries(catalog.columns.map(({ name, number }) => [name, number])));

/** Columns that came after the table joined and that nobody has declared. */
function lateColumns(catalog: CatalogTable, memory: ColumnMemory, declared: readonly string[]): string[] {
  const joined = new Set(Object.values(memory.joined));
  const numbers = new Set(Object.values(declaredNow(catalog, memory, declared)));
  return catalog.columns.filter(({ number }) => !joined.has(number) && !numbers.has(number)).map(({ name }) => name);
}

const namesOf = ({ schema }: CapturedTable): string[] => schema.columns.map(({ name }) => name);
const list = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');

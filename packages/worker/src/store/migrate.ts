import { MillraceError } from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import { migrations } from './migrations/index.ts';
import type { StateDatabase } from './schema.ts';

/** Of the advisory lock that lets one process migrate at a time; an arbitrary number. */
const migrationLock = 7_731_501;

/**
 * Brings the schema `millrace` to the version of this code. Costs one query where it is there already.
 *
 * @throws STATE_VERSION where a newer version of Millrace has been here
 */
export async function migrate(db: Kysely<StateDatabase>): Promise<void> {
  if (missing(await applied(db)).length === 0) return;
  await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(migrationLock)})`.execute(trx);
    await sql`create schema if not exists millrace`.execute(trx);
    await sql`create table if not exists millrace.migration (name text primary key, applied_at timestamptz not null default clock_timestamp())`.execute(
      trx,
    );
    for (const { name, sql: statements } of missing(await applied(trx))) {
      await sql`set local search_path to millrace`.execute(trx);
      await sql.raw(statements).execute(trx);
      await trx.insertInto('migration').values({ name }).execute();
    }
  });
}

async function applied(db: Kysely<StateDatabase>): Promise<readonly string[]> {
  const { rows } = await sql<{ there: boolean }>`select to_regclass('millrace.migration') is not null as there`.execute(db);
  if (!rows[0]?.there) return [];
  const names = (await db.selectFrom('migration').select('name').orderBy('name').execute()).map(({ name }) => name);
  const newer = names.filter((name) => !migrations.some((migration) => migration.name === name));
  if (newer.length === 0) return names;
  throw new MillraceError('STATE_VERSION', {
    message: `The state database has been used by a newer version of Millrace (${newer.join(', ')}).`,
    remedy: 'Update Millrace to that version, or keep the runs of this one in another database.',
    facts: { newer },
  });
}

const missing = (names: readonly string[]) => migrations.filter(({ name }) => !names.includes(name));

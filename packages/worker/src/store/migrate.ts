import { setTimeout as sleep } from 'node:timers/promises';
import { MillraceError } from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import { migrations } from './migrations/index.ts';
import type { StateDatabase } from './schema.ts';

export interface Migration {
  readonly name: string;
  readonly sql: string;
  /** Versions that do not know it must not work beside it. None does yet: a release with one would ask for the fleet to be stopped first. */
  readonly breaks?: boolean;
}

/** Of the advisory lock that lets one process migrate at a time; an arbitrary number. */
const migrationLock = 7_731_501;

/**
 * A migration that waits for a table keeps everybody else from it: leases would run out behind a backup that reads the table for an hour.
 * So it gives way after this, and comes again.
 */
const lockMs = 2_000;
const pauseMs = 1_000;
const tries = 60;

/**
 * Brings the schema `millrace` to the version of this code. Costs one query where it is there already, or where a newer version has been
 * here beside which this one may go on.
 *
 * @throws STATE_VERSION where a newer version has been here that this one must not work beside; STATE_UNAVAILABLE where something else
 * holds on to a table that has to be changed
 */
export async function migrate(db: Kysely<StateDatabase>, known: readonly Migration[] = migrations): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    if (missing(await applied(db, known), known).length === 0) return;
    try {
      return await apply(db, known);
    } catch (error) {
      if ((error as { code?: unknown }).code !== lockNotAvailable) throw error;
      if (attempt >= tries) throw held(error);
      await sleep(pauseMs);
    }
  }
}

/** SQLSTATE. */
const lockNotAvailable = '55P03';

async function apply(db: Kysely<StateDatabase>, known: readonly Migration[]): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(migrationLock)})`.execute(trx);
    await sql`set local lock_timeout = ${sql.lit(lockMs)}`.execute(trx);
    await sql`create schema if not exists millrace`.execute(trx);
    await sql`create table if not exists millrace.migration (
      name text primary key, applied_at timestamptz not null default clock_timestamp(), breaks boolean not null default false)`.execute(
      trx,
    );
    await sql`alter table millrace.migration add column if not exists breaks boolean not null default false`.execute(trx);
    for (const { name, sql: statements, breaks = false } of missing(await applied(trx, known), known)) {
      await sql`set local search_path to millrace`.execute(trx);
      await sql.raw(statements).execute(trx);
      await trx.insertInto('migration').values({ name, breaks }).execute();
    }
  });
}

/**
 * What has been applied of what this version knows. The rule: migrations only add, so a version works on beside those that it does not
 * know. One that had to do more says so in its row, and then every version that does not know it stops here.
 */
async function applied(db: Kysely<StateDatabase>, known: readonly Migration[]): Promise<readonly string[]> {
  const { rows } = await sql<{ there: boolean }>`select to_regclass('millrace.migration') is not null as there`.execute(db);
  if (!rows[0]?.there) return [];
  // By way of JSON, since the column is younger than the table.
  const { rows: done } = await sql<{ name: string; breaks: boolean }>`
    select name, coalesce((to_jsonb(m) ->> 'breaks')::boolean, false) as breaks from millrace.migration m order by name`.execute(db);
  const breaking = done.flatMap(({ name, breaks }) => (breaks && !known.some((one) => one.name === name) ? [name] : []));
  if (breaking.length === 0) return done.map(({ name }) => name);
  throw new MillraceError('STATE_VERSION', {
    message: `A newer version of Millrace has changed the state database in a way that this one cannot work with (${breaking.join(', ')}).`,
    remedy: 'Update Millrace to that version, or keep the runs of this one in another database.',
    facts: { newer: breaking },
  });
}

const missing = (names: readonly string[], known: readonly Migration[]) => known.filter(({ name }) => !names.includes(name));

function held(cause: unknown): MillraceError {
  return new MillraceError('STATE_UNAVAILABLE', {
    message: `The state database could not be brought up to date: for ${(tries * (lockMs + pauseMs)) / 1000} s something held on to a table of it.`,
    remedy: 'Look for a backup, or a session that has forgotten its transaction (pg_stat_activity), and start again when it has ended.',
    cause,
  });
}

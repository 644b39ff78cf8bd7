import type { Session } from '../client.ts';
import { passing } from './failpoints.ts';

/**
 * Millrace's own tables in a target database: who may write (fence), what has been written (applied, checkpoint) and what waits to be
 * (staged); for change streams how far they are (stream, stream_table, stream_split) and what was set aside (dead_letter). They change only
 * in the transaction of the data that they tell of. `sql_file` has what was deployed from files of SQL.
 */
const versions: readonly string[] = [
  `CREATE TABLE _millrace.fence (
     key text PRIMARY KEY,
     epoch int8 NOT NULL,
     touched_at timestamptz NOT NULL DEFAULT now()
   );
   CREATE TABLE _millrace.applied (
     load_id text PRIMARY KEY,
     pipeline text,
     step text,
     run text,
     receipt jsonb NOT NULL,
     applied_at timestamptz NOT NULL DEFAULT now()
   );
   CREATE INDEX applied_at ON _millrace.applied (applied_at);
   CREATE TABLE _millrace.checkpoint (
     pipeline text NOT NULL,
     step text NOT NULL,
     checkpoint jsonb NOT NULL,
     load_id text NOT NULL,
     run_at text NOT NULL,
     moved_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (pipeline, step)
   );
   CREATE TABLE _millrace.staged (
     load_id text NOT NULL,
     split text NOT NULL,
     epoch int8 NOT NULL,
     fence_key text NOT NULL,
     name text NOT NULL,
     rows int8 NOT NULL,
     bytes int8 NOT NULL,
     staged_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (load_id, split, epoch)
   );
   COMMENT ON SCHEMA _millrace IS 'Millrace: what has been loaded here, and how far. Loads need it; do not change it by hand.'`,
  `CREATE TABLE _millrace.stream (
     pipeline text NOT NULL,
     step text NOT NULL,
     epoch int8 NOT NULL,
     identity json,
     position text COLLATE "C",
     begun_at timestamptz NOT NULL DEFAULT now(),
     moved_at timestamptz,
     PRIMARY KEY (pipeline, step)
   );
   CREATE TABLE _millrace.stream_table (
     pipeline text NOT NULL,
     step text NOT NULL,
     table_name text NOT NULL,
     target text NOT NULL,
     mode text NOT NULL,
     made bool NOT NULL,
     begun bool NOT NULL DEFAULT false,
     copied text COLLATE "C",
     shadow text,
     PRIMARY KEY (pipeline, step, table_name)
   );
   CREATE TABLE _millrace.stream_split (
     pipeline text NOT NULL,
     step text NOT NULL,
     table_name text NOT NULL,
     split text NOT NULL,
     rows int8 NOT NULL,
     bytes int8 NOT NULL,
     PRIMARY KEY (pipeline, step, table_name, split)
   );
   CREATE TABLE _millrace.dead_letter (
     id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     pipeline text NOT NULL,
     step text NOT NULL,
     table_name text NOT NULL,
     kind text NOT NULL,
     key text,
     position text COLLATE "C" NOT NULL,
     ordinal int8 NOT NULL,
     row json NOT NULL,
     error text NOT NULL,
     set_aside_at timestamptz NOT NULL DEFAULT now(),
     superseded_at timestamptz,
     replayed_at timestamptz
   );
   CREATE INDEX dead_letter_stream ON _millrace.dead_letter (pipeline, step, id);
   COMMENT ON TABLE _millrace.stream IS 'How far change streams have come here. It changes with the data, in one transaction.';
   COMMENT ON TABLE _millrace.dead_letter IS 'Changes that were set aside since a table refused them. Superseded: a later change of the same row came through.'`,
  `CREATE TABLE _millrace.sql_file (
     pipeline text NOT NULL,
     step text NOT NULL,
     file text NOT NULL,
     hash text NOT NULL,
     objects jsonb NOT NULL,
     server int4 NOT NULL,
     run text NOT NULL,
     deployed_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (pipeline, step, file)
   );
   COMMENT ON TABLE _millrace.sql_file IS 'Files of SQL as they were deployed last, and what they have made.'`,
];

/** Any number will do, as long as every Millrace takes the same. */
const migrationLock = 7_262_114_003;

/** Makes or migrates the ledger. Safe beside others that do the same; cheap where nothing is to do. */
export async function openLedger(session: Session): Promise<void> {
  if ((await ledgerVersion(session)) >= versions.length) return;
  await transaction(session, async () => {
    // All loads into this database wait for the lock, and nobody has a fence yet by which to end one that sleeps with it.
    await session.execute(`SET LOCAL idle_in_transaction_session_timeout = '10s'`);
    await lockAlone(session, migrationLock);
    const from = await ledgerVersion(session);
    if (from === 0) {
      await session.execute(
        'CREATE SCHEMA IF NOT EXISTS _millrace; CREATE TABLE _millrace.version (version int4 PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now())',
        [],
        'the schema "_millrace" (it needs CREATE on the database)',
      );
    }
    for (const [at, statements] of versions.entries()) {
      if (at < from) continue;
      await session.execute(statements);
      await session.execute('INSERT INTO _millrace.version (version) VALUES ($1)', [at + 1]);
    }
    passing('postgres.ledger.made');
  });
}

/** Waits until nobody else holds the number, and sees what they have made: the look at pg_class makes this session forget what it knew to be missing. */
export async function lockAlone(session: Session, lock: number): Promise<void> {
  await session.query(`SELECT pg_advisory_xact_lock(${lock})`);
  await session.query('SELECT FROM pg_class LIMIT 0');
}

/** Zero where there is no ledger. */
export async function ledgerVersion(session: Session): Promise<number> {
  const [found] = await session.query(`SELECT to_regclass('_millrace.version') IS NOT NULL AS there`);
  if (found?.['there'] !== 't') return 0;
  const [row] = await session.query('SELECT coalesce(max(version), 0) AS version FROM _millrace.version');
  return Number(row?.['version'] ?? 0);
}

/** Runs `work` between BEGIN and COMMIT. */
export async function transaction<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.execute('BEGIN');
  try {
    const result = await work();
    await session.execute('COMMIT');
    return result;
  } catch (error) {
    await session.execute('ROLLBACK').catch(() => {});
    throw error;
  }
}

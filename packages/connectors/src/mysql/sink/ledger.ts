import { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../session.ts';
import { passing } from './failpoints.ts';

/**
 * Millrace's own tables in the database that a connection names: who may write (fence, session), what has been written (applied,
 * checkpoint), what waits to be (staged), which streams are followed and how far (stream, stream_table, stream_split) and which table is
 * about to take another's place (swap). They change only in the transaction of the data that they tell of, as far as MySQL lets them: a
 * swap of tables commits by itself, see `swap.ts`.
 *
 * Names of tables are quoted, with their database where it is another.
 */
const tables: Readonly<Record<string, string>> = {
  fence: `fence_key varchar(255) NOT NULL PRIMARY KEY,
     epoch bigint NOT NULL,
     touched_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP`,
  session: `lock_name varchar(64) NOT NULL PRIMARY KEY,
     fence_hash char(24) NOT NULL,
     epoch bigint NOT NULL,
     opened_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP`,
  applied: `load_id varchar(190) NOT NULL PRIMARY KEY,
     pipeline varchar(255),
     step varchar(255),
     run varchar(190),
     receipt longtext NOT NULL,
     applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
     KEY applied_at (applied_at)`,
  checkpoint: `owner char(64) NOT NULL PRIMARY KEY,
     pipeline varchar(255) NOT NULL,
     step varchar(255) NOT NULL,
     checkpoint longtext,
     load_id varchar(190),
     run_at varchar(40),
     moved_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP`,
  staged: `name varchar(200) NOT NULL PRIMARY KEY,
     load_id varchar(190) NOT NULL,
     split varchar(190) NOT NULL,
     epoch bigint NOT NULL,
     fence_key varchar(255) NOT NULL,
     rows_ bigint,
     bytes_ bigint,
     staged_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP`,
  stream: `owner char(64) NOT NULL PRIMARY KEY,
     pipeline varchar(255) NOT NULL,
     step varchar(255) NOT NULL,
     epoch bigint NOT NULL,
     identity longtext,
     position longtext,
     mark longtext,
     moves bigint NOT NULL DEFAULT 0,
     begun_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
     moved_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP`,
  stream_table: `owner char(64) NOT NULL,
     table_name varchar(190) NOT NULL,
     target varchar(200) NOT NULL,
     begun boolean NOT NULL DEFAULT FALSE,
     copied longtext,
     shadow varchar(200),
     retired varchar(200),
     takes_over_at longtext,
     PRIMARY KEY (owner, table_name)`,
  stream_split: `owner char(64) NOT NULL,
     table_name varchar(190) NOT NULL,
     split varchar(190) NOT NULL,
     rows_ bigint NOT NULL,
     bytes_ bigint NOT NULL,
     PRIMARY KEY (owner, table_name, split)`,
  swap: `built varchar(200) NOT NULL PRIMARY KEY,
     target varchar(200) NOT NULL,
     retired varchar(200) NOT NULL,
     load_ longtext NOT NULL,
     receipt longtext NOT NULL,
     announced_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP`,
};

/** What every name of ours begins with, in the database of the connection. */
export const prefix = '_millrace_';
export const ledger = (table: string): string => `\`${prefix}${table}\``;

/** Makes what is missing. Safe beside others that do the same; one look where nothing is. @throws CONFIG_INVALID without a database */
export async function openLedger(session: Session): Promise<void> {
  const { database, label } = session.place;
  if (database === '') {
    throw new MillraceError('CONFIG_INVALID', {
      message: `${label}: a connection that is loaded into must name a database, in which Millrace notes what it has loaded.`,
      remedy: 'End the URL with /database.',
    });
  }
  if (await hasLedger(session)) return;
  for (const [name, columns] of Object.entries(tables))
    await session.execute(
      `CREATE TABLE IF NOT EXISTS ${ledger(name)} (${columns}) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Millrace: what has been loaded here, and how far. Loads need it; do not change it by hand.'`,
      `the tables ${prefix}… (they need CREATE on the database)`,
    );
  passing('mysql.ledger.made');
}

/** The table that is made last is there. */
export async function hasLedger(session: Session): Promise<boolean> {
  const rows = await session.query(
    `SELECT 1 AS there FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '${prefix}swap'`,
  );
  return rows.length > 0;
}

/** Runs `work` between BEGIN and COMMIT. */
export async function transaction<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.execute('START TRANSACTION');
  try {
    const result = await work();
    await session.execute('COMMIT');
    return result;
  } catch (error) {
    if (!session.ended) await session.execute('ROLLBACK').catch(() => {});
    throw error;
  }
}

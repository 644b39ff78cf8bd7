import { logicalServer } from '../logical-server.ts';
import type { Bank, BankServer } from './bank.ts';
import { BankLoad } from './bank-load.ts';
import { connected } from './connected.ts';
import { bankSql, linesOf, uncountedSql } from './money.ts';

export async function postgresBanks(): Promise<BankServer> {
  // What a crash must not take back has to be on the disk: here a crash is one of processes, not of the machine.
  const settings = { synchronous_commit: 'on', wal_sender_timeout: '5s', logical_decoding_work_mem: '64kB' };
  const server = await logicalServer({ settings });
  return {
    engine: 'postgres',
    async bank(): Promise<Bank> {
      const database = await server.database();
      await database.sql(bankSql);
      const { url } = database;
      return {
        url,
        load: (dice) => new BankLoad(url, dice),
        end: (which) => terminate(url, which === 'log' ? "backend_type = 'walsender'" : "application_name like 'millrace%'"),
        large: () => execute(url, uncountedSql),
        lines: async (table) => {
          const client = await connected(url);
          try {
            return await linesOf(client, `public.${table}`, table);
          } finally {
            await client.end();
          }
        },
        whatGoesOn: () => whatGoesOn(url),
        [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
      };
    },
    async crash() {
      await server.stop('immediate');
      await server.start();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

export const terminate = (url: string, which: string): Promise<void> =>
  execute(
    url,
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and ${which}`,
  );

async function execute(url: string, sql: string): Promise<void> {
  const client = await connected(url);
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Sessions and slots of a server, a line each. */
export async function whatGoesOn(url: string): Promise<string> {
  const client = await connected(url);
  try {
    const { rows } = await client.query(
      `select 'session ' || row_to_json(a) as line from (
         select pid, pg_blocking_pids(pid) as blocked_by, backend_type, application_name, state, wait_event, now() - state_change as since, left(query, 200) as query
           from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()) a
       union all select 'slot ' || row_to_json(s) from pg_replication_slots s where database = current_database()
       union all select 'walsender ' || row_to_json(r) from pg_stat_replication r
       union all select 'log ' || pg_current_wal_lsn()`,
    );
    return [url, ...rows.map(({ line }) => line as string)].join('\n');
  } finally {
    await client.end();
  }
}

import { randomUUID } from 'node:crypto';
import pg from 'pg';

export interface TestDatabase extends AsyncDisposable {
  /** With the password in it, as a user would write it. */
  url: string;
  name: string;
  /** Values come as the driver gives them: int8 and numeric as strings. */
  sql<Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string, params?: unknown[]): Promise<Row[]>;
}

/**
 * An empty database in the server of an administrator's URL, or a copy of another one, whose sessions are ended for it. It goes, with
 * its slots and sessions, when disposed.
 */
export async function databaseOn(server: string, like?: TestDatabase): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  await asAdministrator(server, async (admin) => {
    if (like) await admin.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1', [like.name]);
    const { rows } = await admin.query<{ server_version_num: string }>('show server_version_num');
    // Files are copied, not their pages through the log, which every walsender of the server would have to read.
    const byFile = Number(rows[0]?.server_version_num) >= 150_000 ? ' strategy file_copy' : '';
    // By the kernel, which takes a tenth of the time; versions before 18 and some builds cannot ask it.
    await admin.query('set file_copy_method = clone').catch(() => {});
    await admin.query(`create database ${name}${like ? ` template ${like.name}` : ''}${byFile}`);
  });
  const url = server.replace(/\/postgres$/, `/${name}`);
  const pool = new pg.Pool({ connectionString: url, max: 4, idleTimeoutMillis: 1_000 });
  pool.on('connect', (client) => client.on('error', () => {}));
  pool.on('error', () => {}); // a test may end every session of its database, also idle ones of this pool
  return {
    url,
    name,
    sql: async <Row extends pg.QueryResultRow>(text: string, params?: unknown[]) => {
      const result: pg.QueryResult<Row> = await pool.query<Row>(text, params);
      return result.rows;
    },
    async [Symbol.asyncDispose]() {
      await pool.end();
      await asAdministrator(server, async (admin) => {
        const slots = await admin.query<{ slot_name: string; active_pid: number | null }>(
          'select slot_name, active_pid from pg_replication_slots where database = $1',
          [name],
        );
        for (const slot of slots.rows) {
          if (slot.active_pid) await admin.query('select pg_terminate_backend($1, 5000)', [slot.active_pid]);
          // A temporary slot goes with its session, which may be ending at this moment.
          await admin.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [slot.slot_name]);
        }
        await admin.query(`drop database if exists ${name} with (force)`);
      });
    },
  };
}

async function asAdministrator<T>(url: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: url });
  admin.on('error', () => {}); // a server that ends in the middle is told by the query; without this it would be told to the whole process too
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

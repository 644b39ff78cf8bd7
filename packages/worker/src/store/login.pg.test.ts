import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import type { StateLogin } from './address.ts';
import { connect } from './connect.ts';
import { postgresStore } from './postgres-store.ts';

async function withRole(database: TestDatabase, work: (role: string) => Promise<void>): Promise<void> {
  const role = `keeper_${database.name}`;
  await database.sql(`create role ${role} login password 'first'; grant create on database ${database.name} to ${role}`);
  try {
    await work(role);
  } finally {
    await database.sql(`drop owned by ${role} cascade; drop role ${role}`);
  }
}

const end = (database: TestDatabase, role: string) =>
  database.sql('select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1', [role]);

test('a state database whose password was changed is gone on with, by all connections', async () => {
  await using database = await testDatabase();
  await withRole(database, async (role) => {
    const { hostname, port } = new URL(database.url);
    const login = { right: 'first', known: 'first', asked: 0 };
    const address: StateLogin = {
      url: `postgres://${hostname}:${port}/${database.name}`,
      client: { host: hostname, port: Number(port), user: role, database: database.name, password: async () => login.known },
      async refused() {
        login.asked++;
        const changed = login.known !== login.right;
        login.known = login.right;
        return changed;
      },
    };
    await using store = await postgresStore(address);
    login.right = 'second';
    await database.sql(`alter role ${role} password 'second'`);
    await end(database, role);
    await expect.poll(() => store.list({ limit: 10 }).catch(() => null)).toEqual([]);
    expect(login.asked).toBeGreaterThan(0);
    await database.sql(`alter role ${role} password 'third'`);
    await end(database, role);
    await expect.poll(() => store.list({ limit: 10 }).catch((error: Error) => error)).toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  });
});

test('connections to a server that was read-only are not kept: after a failover the name leads to another', async () => {
  await using database = await testDatabase();
  await withRole(database, async (role) => {
    const url = Object.assign(new URL(database.url), { username: role, password: 'first' }).href;
    await database.sql(`alter role ${role} set default_transaction_read_only = on`);
    await using connection = connect(url);
    const write = () => connection.guard((db) => sql`create schema if not exists written`.execute(db));
    await expect(write()).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE', message: expect.stringContaining('read-only') });
    await database.sql(`alter role ${role} set default_transaction_read_only = off`);
    await expect.poll(() => write().catch((error: Error) => error)).toMatchObject({ rows: [] });
  });
});

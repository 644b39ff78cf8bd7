import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { type LogicalServer, logicalServer } from './logical-server.ts';

test.for([14, 16, 18] as const)('a server of version %i starts with logical WAL and the settings asked for', async (version) => {
  let data: string;
  {
    await using server = await logicalServer({ version, settings: { max_slot_wal_keep_size: '2MB', wal_sender_timeout: '3s' } });
    await using database = await server.database();
    expect(
      await database.sql(`select current_setting('server_version_num')::int / 10000 as version, current_setting('wal_level') as level,
        current_setting('max_slot_wal_keep_size') as keep, current_setting('wal_sender_timeout') as timeout`),
    ).toEqual([{ version, level: 'logical', keep: '2MB', timeout: '3s' }]);
    await using copy = await server.database(database);
    expect(copy.name).not.toBe(database.name);
    data = server.data;
  }
  expect(existsSync(data)).toBe(false);
});

test.for(['fast', 'immediate', 'kill'] as const)('a server that was stopped (%s) comes back on its port with what it had', async (how) => {
  await using server = await logicalServer();
  await query(server, 'create table t as select 1 as n');
  await query(server, 'checkpoint'); // nothing waits for a disk here
  const { url } = server;
  await server.stop(how);
  await expect(query(server, 'select 1')).rejects.toThrow(/ECONNREFUSED/);
  await server.start({ work_mem: '5MB' });
  expect(server.url).toBe(url);
  expect(await query(server, `select n, current_setting('work_mem') as mem from t`)).toEqual([{ n: 1, mem: '5MB' }]);
});

test('a server that crashes while a database is made there tells the one who asked, and not the whole process', async () => {
  await using server = await logicalServer();
  // The template has somebody in it, so that making a copy takes a while.
  const template = new pg.Client({ connectionString: server.url.replace(/postgres$/, 'template1') });
  template.on('error', () => {});
  await template.connect();
  const [made] = await Promise.allSettled([server.database(), sleep(200).then(() => server.stop('immediate'))]);
  expect(made).toMatchObject({ status: 'rejected', reason: { message: expect.stringMatching(/terminat/) } });
  await server.start();
  await using _database = await server.database();
});

test.for([14, 18] as const)(
  'a base backup of version %i starts as a server of its own, and as a standby that can be promoted',
  async (version) => {
    await using server = await logicalServer({ version });
    await query(server, 'create table t as select 1 as n');
    const from = await server.backup();
    await query(server, 'insert into t values (2)');

    await using restored = await logicalServer({ version, from });
    expect(await query(restored, 'select n from t')).toEqual([{ n: 1 }]);
    await restored.stop();

    const { port } = server;
    const settings = { primary_conninfo: `host=127.0.0.1 port=${port} user=postgres password=millrace` };
    await using standby = await logicalServer({ version, from, standby: true, settings });
    await expect.poll(() => query(standby, 'select n from t order by n')).toEqual([{ n: 1 }, { n: 2 }]);
    expect(await query(standby, 'select pg_is_in_recovery() as standby')).toEqual([{ standby: true }]);
    await query(standby, 'select pg_promote()');
    expect(await query(standby, 'select pg_is_in_recovery() as standby')).toEqual([{ standby: false }]);
  },
);

test('a server goes with the process that started it, also when that is killed', async () => {
  const script = `import { logicalServer } from ${JSON.stringify(new URL('./logical-server.ts', import.meta.url).href)};
    console.log((await logicalServer()).data); await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const node = ['--conditions=millrace-source', '--import', 'tsx', '--input-type=module', '-e', script];
  const child = spawn(process.execPath, node, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const data = String(line).trim();
  expect(existsSync(data)).toBe(true);
  child.kill('SIGKILL');
  await expect.poll(() => existsSync(data)).toBe(false);
});

test('a server has the system identifier of others, or its own', async () => {
  await using one = await logicalServer();
  await using two = await logicalServer({ ownIdentity: true });
  const text = 'select system_identifier from pg_control_system()';
  expect(await query(two, text)).not.toEqual(await query(one, text));
});

test('a server that cannot start says why', async () => {
  await expect(logicalServer({ settings: { shared_buffers: 'many' } })).rejects.toThrow(/invalid value for parameter "shared_buffers"/);
});

async function query(server: LogicalServer, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDatabase, embeddedPostgres } from './index.ts';
import { lives } from './process.ts';

const asRoot = process.getuid?.() === 0;
let directory: string;
let clients: Client[];

beforeEach(() => {
  // 0700: under root, the server's account cannot walk to its own data.
  directory = join(mkdtempSync(join(tmpdir(), 'millrace-embedded-')), 'postgres');
  clients = [];
});

afterEach(async () => {
  for (const one of clients) one.process.kill('SIGKILL');
  if (running(directory).length === 2) process.kill(supervisor(directory), 'SIGTERM'); // quicker than its two seconds
  await expect.poll(() => running(directory), { timeout: 20_000 }).toEqual([]);
  rmSync(join(directory, '..'), { recursive: true, force: true });
});

test('two processes share one server, and the last one out stops it', async () => {
  const [one, two] = await Promise.all([client(), client()]);
  expect(two.url).toBe(one.url);
  await one.leave();
  await sleep(3_000);
  expect(await ask(two.url, 'select 1 as n')).toEqual([{ n: 1 }]);
  await two.leave();
  await expect.poll(() => running(directory)).toEqual([]);
  expect(existsSync(join(directory, 'data', 'postmaster.pid'))).toBe(false);
});

test('a client that is killed keeps nothing running', async () => {
  const one = await client();
  const pid = postmaster(directory);
  one.process.kill('SIGKILL');
  await expect.poll(() => lives(pid)).toBe(false);
});

test('eight processes that start at once get one server', async () => {
  const eight = await Promise.all(Array.from({ length: 8 }, () => client()));
  expect(new Set(eight.map((one) => one.url)).size).toBe(1);
  expect(running(directory).length).toBe(2);
  for (const one of eight.slice(1)) one.process.kill('SIGKILL');
  expect(await ask(eight[0]!.url, 'select 1 as n')).toEqual([{ n: 1 }]);
});

test('what was committed survives a killed supervisor, whose clients hear of it and whose server stops', async () => {
  const one = await client();
  await ask(one.url, 'create table t as select 42 as n');
  const pid = postmaster(directory);
  process.kill(supervisor(directory), 'SIGKILL');
  expect(await one.heard(/EMBEDDED_POSTGRES_LOST/)).toMatch(/stopped while it was in use/);
  const two = await client();
  expect(lives(pid)).toBe(false);
  expect(await ask(two.url, 'select n from t')).toEqual([{ n: 42 }]);
});

test('a supervisor and all its clients killed together leave no server', async () => {
  const one = await client();
  const pid = postmaster(directory);
  process.kill(supervisor(directory), 'SIGKILL');
  one.process.kill('SIGKILL');
  await expect.poll(() => lives(pid)).toBe(false);
});

test('what was committed survives a killed postmaster', async () => {
  const one = await client();
  await ask(one.url, 'create table t as select 42 as n');
  process.kill(postmaster(directory), 'SIGKILL');
  expect(await one.heard(/EMBEDDED_POSTGRES_LOST/)).toMatch(/ended while it was in use/);
  const two = await client();
  expect(await ask(two.url, 'select n from t')).toEqual([{ n: 42 }]);
});

test('everything killed at once, twice, recovers each time', async () => {
  for (const n of [1, 2]) {
    const one = await client();
    await ask(one.url, `create table t${n} as select ${n} as n`);
    const all = [supervisor(directory), postmaster(directory), one.process.pid as number];
    for (const pid of all) process.kill(pid, 'SIGKILL');
  }
  const last = await client();
  expect(await ask(last.url, 'select t1.n + t2.n as n from t1, t2')).toEqual([{ n: 3 }]);
});

test('a server is started again within two seconds of its stop', async () => {
  for (let n = 0; n < 3; n += 1) {
    await using one = await embeddedPostgres({ directory });
    expect(await ask(one.url, 'select 1 as n')).toEqual([{ n: 1 }]);
    if (n === 1) continue;
    process.kill(supervisor(directory), 'SIGTERM');
    await once(one.lost, 'abort'); // and joined again while it stops
  }
});

test('settings are those of a laptop, and a caller may change them', async () => {
  await using one = await embeddedPostgres({ directory, settings: { fsync: 'off', max_connections: '30' } });
  const names = ['wal_level', 'fsync', 'synchronous_commit', 'max_connections', 'max_replication_slots', 'server_encoding', 'TimeZone'];
  const rows = await ask(
    one.url,
    `select name, setting from pg_settings where name in (${names.map((name) => `'${name}'`)}) order by lower(name)`,
  );
  expect(rows.map((row) => row['setting'])).toEqual(['off', '30', '20', 'UTF8', 'on', 'UTC', 'logical']);
  expect(await ask(one.url, `select datlocprovider, datlocale, upper('é') as upper from pg_database where datname = 'postgres'`)).toEqual([
    { datlocprovider: 'b', datlocale: 'C.UTF-8', upper: 'É' },
  ]);
});

test('a database is created once, also by several at once and under a hostile name', async () => {
  await using one = await embeddedPostgres({ directory, settings: { fsync: 'off' } });
  const name = 'a"; drop table x; -- ü/&=+';
  const urls = await Promise.all(Array.from({ length: 4 }, () => createDatabase(one.url, name)));
  expect(await ask(urls[0]!, 'select current_database() as name')).toEqual([{ name }]);
});

test('the password stays between starts, is readable by its owner alone, and a lost one is made anew', async () => {
  const urls: string[] = [];
  for (const lose of [false, false, true]) {
    if (lose) rmSync(join(directory, 'password'));
    const one = await client();
    expect(await ask(one.url, 'select 1 as n')).toEqual([{ n: 1 }]);
    urls.push(new URL(one.url).password);
    process.kill(supervisor(directory), 'SIGTERM');
    await expect.poll(() => running(directory)).toEqual([]);
  }
  expect(urls[1]).toBe(urls[0]);
  expect(urls[2]).not.toBe(urls[0]);
  expect(statSync(join(directory, 'password')).mode & 0o777).toBe(0o600);
  for (const name of readdirSync(join(directory, 'log'))) {
    const log = readFileSync(join(directory, 'log', name), 'utf8');
    for (const password of urls) expect(log).not.toContain(password);
  }
});

test('the wrong password is refused', async () => {
  await using one = await embeddedPostgres({ directory });
  const url = new URL(one.url);
  url.password = 'guess';
  await expect(ask(url.href, 'select 1')).rejects.toThrow(/password authentication failed/);
});

test('data of another major version is refused with a remedy', async () => {
  mkdirSync(join(directory, 'data'), { recursive: true });
  writeFileSync(join(directory, 'data', 'PG_VERSION'), '17\n');
  await expect(embeddedPostgres({ directory })).rejects.toMatchObject({
    code: 'EMBEDDED_POSTGRES_UNAVAILABLE',
    message: expect.stringMatching(/made by Postgres 17; the embedded one is Postgres 18/),
    remedy: expect.stringMatching(/embedded-postgres 17/),
  });
});

test('a server that does not start shows what it said', async () => {
  await expect(embeddedPostgres({ directory, settings: { shared_buffers: 'plenty' } })).rejects.toMatchObject({
    code: 'EMBEDDED_POSTGRES_UNAVAILABLE',
    message: expect.stringMatching(/invalid value for parameter "shared_buffers"/),
  });
  await using one = await embeddedPostgres({ directory });
  expect(await ask(one.url, 'select 1 as n')).toEqual([{ n: 1 }]);
});

test.for([100, 300, 450])('a caller that gives up waiting leaves at once: after %i ms', async (milliseconds) => {
  const giveUp = new Error('enough');
  await expect(embeddedPostgres({ directory, signal: AbortSignal.abort(giveUp) })).rejects.toBe(giveUp);
  const soon = new AbortController();
  setTimeout(() => soon.abort(giveUp), milliseconds);
  // On a quick machine it may be there before.
  const answer = await embeddedPostgres({ directory, signal: soon.signal }).catch((error: unknown) => error);
  if (answer === giveUp) return;
  expect(answer).not.toBeInstanceOf(Error);
  await (answer as AsyncDisposable)[Symbol.asyncDispose]();
});

test('an ordinary user runs it, and a directory of somebody else is refused with a remedy', async () => {
  const nobody = { uid: 65534, gid: 65534 };
  if (!asRoot) return console.log('every test of this file ran as an ordinary user already; the one of another user needs root');
  chmodSync(join(directory, '..'), 0o755);
  mkdirSync(directory);
  chownSync(directory, nobody.uid, nobody.gid);
  const one = await client(nobody);
  expect(await ask(one.url, 'select 1 as n')).toEqual([{ n: 1 }]);
  expect(statSync(`/proc/${postmaster(directory)}`).uid).toBe(nobody.uid);
  const root = await client(); // who runs sudo joins
  expect(root.url).toBe(one.url);
  await root.leave();
  await one.leave();
  await expect.poll(() => running(directory)).toEqual([]);
  chownSync(directory, 0, 0);
  await expect(client(nobody)).rejects.toThrow(/EMBEDDED_POSTGRES_UNAVAILABLE.*EACCES/);
});

interface Client {
  readonly process: ChildProcess;
  readonly url: string;
  heard(what: RegExp): Promise<string>;
  leave(): Promise<void>;
}

/** Another process that uses the server until its input closes. */
async function client(account: { uid?: number; gid?: number } = {}): Promise<Client> {
  const script = `
    import { embeddedPostgres } from '@millrace/cli/embedded';
    const pg = await embeddedPostgres({ directory: ${JSON.stringify(directory)} }).catch((error) => { console.log(error.code + ': ' + error.message); process.exit(1); });
    console.log(pg.url);
    pg.lost.addEventListener('abort', () => console.log(pg.lost.reason.code + ': ' + pg.lost.reason.message));
    for await (const _ of process.stdin);
    await pg[Symbol.asyncDispose]();
  `;
  const child = spawn(process.execPath, ['--conditions=millrace-bundled', '--input-type=module', '-e', script], {
    cwd: new URL('../..', import.meta.url),
    stdio: ['pipe', 'pipe', 'inherit'],
    ...account,
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => String((await lines.next()).value);
  const url = await next();
  if (!url.startsWith('postgres://')) throw new Error(url);
  const one: Client = {
    process: child,
    url,
    async heard(what) {
      for (;;) {
        const line = await next();
        if (line === 'undefined' || what.test(line)) return line;
      }
    },
    async leave() {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
  clients.push(one);
  return one;
}

async function ask(url: string, query: string): Promise<Record<string, unknown>[]> {
  const session = new pg.Client({ connectionString: url });
  session.on('error', () => {}); // its server is killed by some tests
  await session.connect();
  try {
    return (await session.query<Record<string, unknown>>(query)).rows;
  } finally {
    await session.end();
  }
}

function postmaster(of: string): number {
  return Number(readFileSync(join(of, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
}

function supervisor(of: string): number {
  const lock = readdirSync(of).find((name) => /^supervisor\.\d+\.json$/.test(name));
  return (JSON.parse(readFileSync(join(of, lock!), 'utf8')) as { pid: number }).pid;
}

/** The supervisor and the postmaster of a directory, as far as they live. */
function running(of: string): number[] {
  const pids: number[] = [];
  for (const find of [supervisor, postmaster]) {
    try {
      const pid = find(of);
      if (lives(pid)) pids.push(pid);
    } catch {
      // its file is gone, or says that it was left in order
    }
  }
  return pids.filter((pid) => pid > 0);
}

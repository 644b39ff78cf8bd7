import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findDrivers } from '../scripts/jdbc-drivers.mjs';
import { freePort } from './free-port.ts';

/** What `npm test` has fetched. */
export const drivers = (() => {
  const found = findDrivers();
  if ('missing' in found) throw new Error(found.missing);
  return found;
})();

/** A database that is reached through JDBC, with a shell to it that does not go through Millrace. */
export interface JdbcDatabase extends AsyncDisposable {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly jar: string;
  /** Rows, every value as the driver prints it. */
  sql(text: string): Promise<(string | null)[][]>;
}

/** An H2 that serves TCP, stopped with this process however it ends. Each name is a database of its own. */
export async function h2Server(): Promise<{ database(name: string): Promise<JdbcDatabase> } & AsyncDisposable> {
  const jar = drivers.jars.h2;
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'millrace-h2-'));
  const args = ['-tcp', '-tcpPort', String(port), '-ifNotExists', '-baseDir', folder];
  const server = await served(['-cp', jar, 'org.h2.tools.Server', ...args], port);
  return {
    database: (name) => database(`jdbc:h2:tcp://127.0.0.1:${port}/${name};LOCK_TIMEOUT=5000`, 'sa', 'secret-h2', jar),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** An HSQLDB that serves databases in memory. */
export async function hsqldbServer(names: readonly string[]): Promise<{ database(name: string): Promise<JdbcDatabase> } & AsyncDisposable> {
  const jar = drivers.jars.hsqldb;
  const port = await freePort();
  const databases = names.flatMap((name, at) => [`--database.${at}`, `mem:${name};hsqldb.tx=mvcc`, `--dbname.${at}`, name]);
  const server = await served(
    ['-cp', jar, 'org.hsqldb.server.Server', '--address', '127.0.0.1', '--port', String(port), '--silent', 'true', ...databases],
    port,
  );
  return {
    database: (name) => database(`jdbc:hsqldb:hsql://127.0.0.1:${port}/${name}`, 'SA', '', jar),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function database(url: string, user: string, password: string, jar: string): Promise<JdbcDatabase> {
  const shell = await sqlShell(jar, url, user, password);
  return { url, user, password, jar, sql: shell.sql, [Symbol.asyncDispose]: () => shell[Symbol.asyncDispose]() };
}

/** A connection of the driver's own, from a program that Java compiles as it starts. */
export async function sqlShell(jar: string, url: string, user: string, password: string) {
  const child = spawn(
    drivers.java,
    ['-Xshare:auto', '-XX:TieredStopAtLevel=1', '-cp', jar, join(import.meta.dirname, 'SqlShell.java'), url, user, password],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.value !== 'ready') throw new Error(`The SQL shell of ${url} did not start: ${first.value}`);
  let turn: Promise<unknown> = Promise.resolve();
  const ask = async (text: string): Promise<(string | null)[][]> => {
    child.stdin.write(`${Buffer.from(text).toString('base64')}\n`);
    const rows: (string | null)[][] = [];
    for (;;) {
      const { value = '!', done } = await lines.next();
      if (done || value.startsWith('!')) throw new Error(`${decoded(value.slice(1))}: ${text.slice(0, 500)}`);
      if (value === '.') return rows;
      rows.push(
        value
          .split(' ')
          .slice(1)
          .map((word: string) => (word === '-' ? null : decoded(word.slice(1)))),
      );
    }
  };
  return {
    sql(text: string): Promise<(string | null)[][]> {
      const mine = turn.then(() => ask(text));
      turn = mine.catch(() => {});
      return mine;
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}

const decoded = (word: string): string => Buffer.from(word, 'base64').toString();

/** The shell ends it when this process is gone: then its own standard input is at its end. */
async function served(args: readonly string[], port: number): Promise<AsyncDisposable> {
  const guard: ChildProcess = spawn(
    'sh',
    [
      '-c',
      '"$@" </dev/null >&2 & server=$!; cat >/dev/null; kill -9 $server; wait $server',
      'sh',
      drivers.java,
      '-XX:TieredStopAtLevel=1',
      ...args,
    ],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    },
  );
  const deadline = Date.now() + 60_000;
  while (!(await listens(port))) {
    if (Date.now() > deadline) throw new Error(`${args[2]} did not listen within 60 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    async [Symbol.asyncDispose]() {
      const ended = once(guard, 'exit');
      guard.stdin?.end();
      await ended;
    },
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.once('connect', () => socket.destroy()).once('error', () => resolve(false));
  });
}

/** The jar of `HostileDriver`, which needs that of H2 beside it: a folder of classes does as well. */
export function hostileJar(): string {
  const jar = join(mkdtempSync(join(tmpdir(), 'millrace-hostile-')), 'hostile.jar');
  const compiler = ['-m', 'jdk.compiler/com.sun.tools.javac.Main', '--release', '11'];
  execFileSync(drivers.java, [...compiler, '-cp', drivers.jars.h2, '-d', jar, join(import.meta.dirname, 'HostileDriver.java')]);
  return jar;
}

import { spawn } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { MillraceError } from '@millrace/core';
import { createConnection } from 'mysql2/promise';
import { freePort } from './redis.ts';

export interface MariaDbServer extends AsyncDisposable {
  /** With the database `bench`. */
  readonly url: string;
  readonly port: number;
  /** Its own command line, and where the libraries of that are. */
  readonly client: string;
  readonly libraries: string;
  /** Answers the rows of the last one, their values as text. */
  sql(...statements: string[]): Promise<Record<string, string | null>[]>;
}

/** A MariaDB that syncs nothing, with room for what is measured in its memory. It ends with this process. `more` are options of its command line. */
export async function mariaDbServer(more: readonly string[] = []): Promise<MariaDbServer> {
  const root = path.resolve(import.meta.dirname, '../..');
  const { provideMariaDb } = (await import(pathToFileURL(path.join(root, 'scripts/mariadb.mjs')).href)) as Provider;
  const found = provideMariaDb();
  if ('missing' in found) throw new MillraceError('CONFIG_INVALID', { message: found.missing, remedy: 'Install MariaDB.' });
  const folder = await mkdtemp(path.join(tmpdir(), 'millrace-bench-mariadb-'));
  const data = path.join(folder, 'data');
  await cp(found.data, data, { recursive: true });
  const port = await freePort();
  const settings = [
    '--no-defaults',
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
    ...found.storage,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--skip-name-resolve',
    `--datadir=${data}`,
    `--socket=${path.join(folder, 's')}`,
    `--tmpdir=${folder}`,
    `--lc-messages-dir=${found.share}`,
    `--character-sets-dir=${path.join(found.share, 'charsets')}`,
    '--innodb-buffer-pool-size=1G',
    '--innodb-flush-log-at-trx-commit=0',
    '--performance-schema=OFF',
    ...more,
  ];
  const server = spawn(
    'sh',
    // Its own standard input ends with this process, however that ends.
    ['-c', '"$@" </dev/null >/dev/null 2>&1 & server=$!; cat >/dev/null; kill -9 $server', 'sh', found.command, ...settings],
    { stdio: ['pipe', 'ignore', 'inherit'], env: { ...process.env, LD_LIBRARY_PATH: found.libraries } },
  );
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const base = `mysql://root@127.0.0.1:${port}`;
  const run = async (url: string, statements: readonly string[]): Promise<Record<string, string | null>[]> => {
    const connection = await createConnection(url);
    let rows: unknown;
    for (const statement of statements) [rows] = await connection.query({ sql: statement, typeCast: (field) => field.string() });
    await connection.end();
    return Array.isArray(rows) ? (rows as Record<string, string | null>[]) : [];
  };
  for (let tries = 0; ; tries++) {
    try {
      await run(base, ['create database if not exists bench character set utf8mb4']);
      break;
    } catch (error) {
      if (tries > 300) throw error;
      await sleep(100);
    }
  }
  return {
    url: `${base}/bench`,
    port,
    client: found.client,
    libraries: found.libraries,
    sql: (...statements) => run(`${base}/bench`, statements),
    async [Symbol.asyncDispose]() {
      server.stdin.end();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Provider {
  readonly provideMariaDb: () =>
    | {
        readonly command: string;
        readonly libraries: string;
        readonly client: string;
        readonly share: string;
        readonly data: string;
        readonly storage: readonly string[];
      }
    | { readonly missing: string };
}

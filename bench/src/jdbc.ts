import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createDatabase, embeddedPostgres } from '@millrace/cli/embedded';
import { MillraceError } from '@millrace/core';
import pg from 'pg';
import { dropLineitem, lineitemSql } from './lineitem.ts';
import type { Options } from './main.ts';
import { watchMemory } from './memory.ts';
import { median, type Result } from './report.ts';

/** What reading through a driver should reach of a plain loop in Java over the same driver, measured in turn with it. */
const target = 0.6;

/** One table of sixteen columns, read through the JDBC driver of Postgres into batches, each round beside the loop. */
export async function* jdbc({ rows, rounds }: Options): AsyncIterable<Result> {
  const driver = process.env['MILLRACE_BENCH_DRIVER'];
  if (!driver) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 'This bench needs a JDK and the JDBC driver of Postgres.',
      remedy: 'Run it as "npm run bench -- jdbc", with a JDK and Maven on PATH; "node scripts/jdbc-drivers.mjs" says what is missing.',
    });
  }
  const settings = { fsync: 'off', shared_buffers: '1GB', max_wal_size: '4GB', full_page_writes: 'off', autovacuum: 'off' };
  await using server = await embeddedPostgres({ directory: '.millrace/bench', settings });
  const url = await createDatabase(server.url, 'bench');
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  try {
    for (const statement of lineitemSql(rows)) await database.query(statement);
    const programs = programsFor(jdbcUrl(url), driver);
    const limits: number[] = [];
    const times: number[] = [];
    let peakRssMb = 0;
    for (let round = 0; round <= rounds; round++) {
      const limit = await run(programs.loop, rows);
      const own = await run(programs.own, rows);
      peakRssMb = Math.max(peakRssMb, own.peakRssMb);
      if (round === 0) continue;
      limits.push(limit.seconds);
      times.push(own.seconds);
    }
    yield {
      case: 'jdbc',
      rows,
      rowsPerSecond: Math.round(rows / median(times)),
      limitRowsPerSecond: Math.round(rows / median(limits)),
      ratio: Number(median(times.map((seconds, round) => (limits[round] as number) / seconds)).toFixed(3)),
      target,
      peakRssMb: Math.round(peakRssMb),
      rounds,
    };
  } finally {
    await database.query(dropLineitem);
    await database.end();
  }
}

interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

function programsFor(url: string, driver: string): { readonly loop: Program; readonly own: Program } {
  const java = process.env['JAVA_HOME'] ? path.join(process.env['JAVA_HOME'], 'bin', 'java') : 'java';
  // In development the sources run as they are.
  const source = import.meta.url.endsWith('.ts');
  const flags = source ? ['--conditions=millrace-source', '--import', 'tsx'] : [];
  return {
    loop: {
      name: 'loop in Java',
      command: java,
      args: ['-Xmx512m', '-cp', driver, path.join(import.meta.dirname, '../java/ReadLoop.java'), 'lineitem', 'lineitem_some'],
      env: { JDBC_URL: url },
    },
    own: {
      name: 'connector',
      command: process.execPath,
      args: [...flags, path.join(import.meta.dirname, source ? 'jdbc-lane.ts' : 'jdbc-lane.js')],
      env: { MILLRACE_BENCH_URL: url, MILLRACE_BENCH_DRIVER: driver },
    },
  };
}

function jdbcUrl(url: string): string {
  const { username, password, host, pathname } = new URL(url);
  return `jdbc:postgresql://${host}${pathname}?user=${username}&password=${password}`;
}

async function run({ name, command, args, env }: Program, rows: number): Promise<{ seconds: number; peakRssMb: number }> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  const memory = watchMemory(child.pid as number);
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    if (line === 'ready') child.stdin.write('go\n');
    else lines.push(line);
  }
  const peakRssMb = memory.stop();
  const code = await ended;
  const result = lines.length > 0 ? (JSON.parse(lines.at(-1) as string) as { seconds: number; rows: number }) : undefined;
  if (code === 0 && result?.rows === rows) return { seconds: result.seconds, peakRssMb };
  throw new MillraceError('INTERNAL', {
    message: `The ${name} ended with ${code} after ${result?.rows} rows.`,
    remedy: 'Its own message stands above.',
  });
}

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createDatabase, embeddedPostgres } from '@millrace/cli/embedded';
import { MillraceError } from '@millrace/core';
import pg from 'pg';
import { dropLineitem, lineitemSql } from './lineitem.ts';
import type { Options } from './main.ts';
import { watchMemory } from './memory.ts';
import { psqlPipe } from './peer.ts';
import { median, type Result } from './report.ts';

/** What each lane should reach of `psql COPY (FORMAT binary) | psql COPY`, measured in turn with it. */
const targets = { bytes: 1, duckdb: 0.75, columns: 0.5, rows: 0.4 } as const;
type Lane = keyof typeof targets;

/** One table of sixteen columns, copied in every lane, each round beside the pipe of the database's own client. */
export async function* copy({ rows, rounds, only }: Options): AsyncIterable<Result> {
  // Both sides use this server, so what it does not sync it does not sync for either.
  const settings = { fsync: 'off', shared_buffers: '1GB', max_wal_size: '4GB', full_page_writes: 'off', autovacuum: 'off' };
  await using server = await embeddedPostgres({ directory: '.millrace/bench', settings });
  const url = await createDatabase(server.url, 'bench');
  await using database = await connect(url);
  for (const statement of lineitemSql(rows)) await database.query(statement);
  const lakeDirectory = await mkdtemp(path.join(tmpdir(), 'millrace-bench-lake-'));
  try {
    for (const lane of Object.keys(targets) as Lane[]) {
      if (only.length > 0 && !only.includes(lane)) continue;
      yield await measure(lane, { url, rows, rounds, lakeDirectory, database });
    }
  } finally {
    await rm(lakeDirectory, { recursive: true, force: true });
    await database.query(dropLineitem);
  }
}

interface Bench {
  readonly url: string;
  readonly rows: number;
  readonly rounds: number;
  readonly lakeDirectory: string;
  readonly database: pg.Client;
}

async function measure(lane: Lane, bench: Bench): Promise<Result> {
  const { rows, rounds } = bench;
  const limits: number[] = [];
  const times: number[] = [];
  let peakRssMb = 0;
  for (let round = 0; round <= rounds; round++) {
    await emptyTarget(bench);
    const limit = await psqlPipe(bench.url, 'lineitem', 'lineitem_copy');
    await count(bench);
    const own = await runLane(lane, bench);
    if (lane === 'duckdb') await rm(bench.lakeDirectory, { recursive: true, force: true });
    else await count(bench);
    peakRssMb = Math.max(peakRssMb, own.peakRssMb);
    if (round === 0) continue;
    limits.push(limit);
    times.push(own.seconds);
  }
  return {
    case: lane,
    rows,
    rowsPerSecond: Math.round(rows / median(times)),
    limitRowsPerSecond: Math.round(rows / median(limits)),
    ratio: Number(median(times.map((seconds, round) => (limits[round] as number) / seconds)).toFixed(3)),
    target: targets[lane],
    peakRssMb: Math.round(peakRssMb),
    rounds,
  };
}

async function emptyTarget({ database }: Bench): Promise<void> {
  await database.query('truncate lineitem_copy');
  await database.query('checkpoint');
}

async function count({ database, rows }: Bench): Promise<void> {
  const result = await database.query<{ rows: string }>('select count(*) as rows from lineitem_copy');
  if (Number(result.rows[0]?.rows) === rows) return;
  throw new MillraceError('INTERNAL', {
    message: `${result.rows[0]?.rows} rows arrived where ${rows} were sent.`,
    remedy: 'Please report it.',
  });
}

/** In development the sources run as they are. */
const own = import.meta.url.endsWith('.ts')
  ? { file: 'lane.ts', flags: ['--conditions=millrace-source', '--import', 'tsx'] }
  : { file: 'lane.js', flags: [] };

async function runLane(lane: Lane, bench: Bench): Promise<{ seconds: number; peakRssMb: number }> {
  const { url, rows, lakeDirectory } = bench;
  const child = spawn(process.execPath, [...own.flags, path.join(import.meta.dirname, own.file), lane], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, MILLRACE_BENCH_URL: url, MILLRACE_BENCH_LAKE: lakeDirectory },
  });
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  const memory = watchMemory(child.pid as number);
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    if (line === 'ready') {
      await emptyTarget(bench);
      child.stdin.write('go\n');
    } else lines.push(line);
  }
  const peakRssMb = memory.stop();
  const code = await ended;
  const result = lines.length > 0 ? (JSON.parse(lines.at(-1) as string) as { seconds: number; rows: number }) : undefined;
  if (code === 0 && result?.rows === rows) return { seconds: result.seconds, peakRssMb };
  throw new MillraceError('INTERNAL', {
    message: `The ${lane} lane ended with ${code} after ${result?.rows} rows.`,
    remedy: 'Its own message stands above.',
  });
}

async function connect(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

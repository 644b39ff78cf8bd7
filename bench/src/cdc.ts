import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, embeddedPostgres } from '@millrace/cli/embedded';
import pg from 'pg';
import { type Child, started, wrong } from './cdc-child.ts';
import { filled, giantSql, lastRow, ledgerSql, type Workload, workloads } from './cdc-workload.ts';
import type { Options } from './main.ts';
import { dumpRestore, psqlPipe, receiveLogical } from './peer.ts';
import { type Measured, percentile, type Result, rounded, Series } from './report.ts';

/** What each case should reach: of pg_recvlogical, of the server's own subscription, of the pipe of its own client. */
const targets = { decode: 0.9, small: 1, large: 1, inserts: 1, mixed: 1, snapshot: 0.9, 'snapshot-dump': 1 } as const;
type Case = keyof typeof targets;

/** Changes of one table, read and applied, each round beside what the database itself has for it, from the same slot position. */
export async function* cdc({ rows, rounds, only }: Options): AsyncIterable<Result> {
  const settings = {
    wal_level: 'logical',
    fsync: 'off',
    max_slot_wal_keep_size: '16GB',
    shared_buffers: '1GB',
    max_wal_size: '8GB',
    full_page_writes: 'off',
    autovacuum: 'off',
    max_replication_slots: '20',
    max_wal_senders: '20',
  };
  await using server = only.includes('snapshot-dump')
    ? await postgres14(settings)
    : await embeddedPostgres({ directory: '.millrace/bench-cdc', settings });
  const bench = await openBench(server.url);
  try {
    for (const name of Object.keys(targets) as Case[]) {
      if (only.length > 0 ? !only.includes(name) : name === 'snapshot-dump') continue;
      const measured =
        name === 'decode'
          ? decode(bench, rounds)
          : name === 'snapshot' || name === 'snapshot-dump'
            ? snapshot(bench, rows, rounds, name === 'snapshot-dump')
            : apply(bench, workloads[name], rounds);
      yield { case: `cdc-${name}`, target: targets[name], rounds, ...(await measured) };
    }
    if (only.length === 0 || only.includes('latency')) for (const result of await latency(bench)) yield result;
    if (only.length === 0 || only.includes('giant')) yield await giant(bench);
  } finally {
    await bench.end();
  }
}

/** pg_dump refuses servers that are newer than itself, and the one of many systems is older than the embedded Postgres. */
async function postgres14(settings: Readonly<Record<string, string>>): Promise<{ readonly url: string } & AsyncDisposable> {
  const root = path.resolve(import.meta.dirname, '../..');
  const child = spawn(
    process.execPath,
    ['--no-warnings', '--import', 'tsx', 'test/serve-postgres.ts', JSON.stringify({ version: 14, settings })],
    {
      cwd: root,
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve);
    child.once('close', () => reject(wrong('The Postgres 14 of the tests did not start.')));
  });
  return { url, [Symbol.asyncDispose]: async () => void child.stdin.end() };
}

interface Bench {
  readonly sourceUrl: string;
  readonly targetUrl: string;
  readonly peerUrl: string;
  readonly source: pg.Client;
  readonly target: pg.Client;
  readonly peer: pg.Client;
  end(): Promise<void>;
}

async function openBench(server: string): Promise<Bench> {
  const [sourceUrl, targetUrl, peerUrl] = [
    await createDatabase(server, 'bench_source'),
    await createDatabase(server, 'bench_target'),
    await createDatabase(server, 'bench_peer'),
  ];
  const connect = async (url: string): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return client;
  };
  const [source, target, peer] = [await connect(sourceUrl), await connect(targetUrl), await connect(peerUrl)];
  return {
    sourceUrl,
    targetUrl,
    peerUrl,
    source,
    target,
    peer,
    end: async () => void (await Promise.all([source.end(), target.end(), peer.end()])),
  };
}

const table = 'ledger';

/** Empty slots, publication and tables; the source and both targets hold the rows that are there before. */
async function prepare({ source, target, peer }: Bench, before: number): Promise<void> {
  await peer.query('drop subscription if exists peer').catch(async () => {
    await peer.query('alter subscription peer disable; alter subscription peer set (slot_name = none)');
    await peer.query('drop subscription peer');
  });
  await dropSlots(source);
  await target.query('drop schema if exists _millrace cascade');
  await source.query('drop publication if exists peer');
  for (const client of [source, target, peer]) {
    await client.query(`drop table if exists ${table} cascade`);
    await client.query(ledgerSql(table));
    for (const statement of before > 0 ? filled(table, before) : []) await client.query(statement);
  }
  await source.query(`create publication peer for table ${table}`);
  await source.query('checkpoint');
}

async function decode(bench: Bench, rounds: number): Promise<Measured> {
  const { before, changes, sql } = workloads.drain;
  await prepare(bench, before);
  const { position } = await go(await ours(bench, 'attach'));
  await bench.source.query("select pg_create_logical_replication_slot('peer', 'pgoutput')");
  for (const statement of sql(table)) await bench.source.query(statement);
  const { rows } = await bench.source.query<{ end: string }>('select pg_current_wal_lsn() as end');
  const series = new Series();
  for (let round = 0; round <= rounds; round++) {
    await bench.source.query("select pg_copy_logical_replication_slot('peer', 'peer_copy')");
    const limit = await receiveLogical(bench.sourceUrl, 'peer_copy', 'peer', rows[0]?.end as string);
    await bench.source.query("select pg_drop_replication_slot('peer_copy')");
    const own = await go(await ours(bench, 'drain', position ?? ''));
    if (own.changes !== changes) throw wrong(`${own.changes} changes were read where ${changes} were made.`);
    series.add(round, own.seconds, limit, own.peakRssMb);
  }
  return series.measured(changes);
}

/** The same changes, applied by us and by a subscription of the server's own, each of them first in every other round. */
async function apply(bench: Bench, { before, changes, sql }: Workload, rounds: number): Promise<Measured> {
  const series = new Series();
  for (let round = 0; round <= rounds; round++) {
    await prepare(bench, before);
    await go(await ours(bench, 'attach'));
    await bench.source.query("select pg_create_logical_replication_slot('peer', 'pgoutput')");
    for (const statement of sql(table)) await bench.source.query(statement);
    await bench.source.query(lastRow(table));
    await bench.source.query('checkpoint');
    const first = round % 2 === 0 ? await subscribed(bench) : null;
    const own = await applied(bench);
    series.add(round, own.seconds, first ?? (await subscribed(bench)), own.peakRssMb);
  }
  return series.measured(changes);
}

/** Seconds from "go" until the last change can be seen at the target. */
async function applied(bench: Bench): Promise<{ seconds: number; peakRssMb: number }> {
  const child = await ours(bench, 'apply');
  const started = performance.now();
  child.process.stdin?.write('go\n');
  await seen(bench.target, child);
  const seconds = (performance.now() - started) / 1000;
  child.process.stdin?.write('stop\n');
  await child.ended;
  await same(bench.source, bench.target);
  return { seconds, peakRssMb: child.memory.stop() };
}

/** Seconds that the server's own subscription takes, from when it is enabled. It commits without waiting for the disk, as is its default. */
async function subscribed({ sourceUrl, source, peer }: Bench): Promise<number> {
  await peer.query(
    `create subscription peer connection '${sourceUrl}' publication peer with (create_slot = false, slot_name = 'peer', enabled = false, copy_data = false, binary = true)`,
  );
  const started = performance.now();
  await peer.query('alter subscription peer enable');
  await seen(peer);
  const seconds = (performance.now() - started) / 1000;
  await peer.query('alter subscription peer disable');
  await peer.query('alter subscription peer set (slot_name = none)');
  await peer.query('drop subscription peer');
  await same(source, peer);
  return seconds;
}

/** The first copy of a table with a key, beside the client's pipe into a table that has its key, or beside a dump that is restored. */
async function snapshot(bench: Bench, rows: number, rounds: number, dumped: boolean): Promise<Measured> {
  const series = new Series();
  await prepare(bench, rows);
  for (let round = 0; round <= rounds; round++) {
    await dropSlots(bench.source);
    await bench.target.query(`drop table if exists ${table}; drop schema if exists _millrace cascade`);
    await bench.peer.query(`drop table if exists ${table}; ${dumped ? '' : ledgerSql(table)}`);
    await bench.source.query('checkpoint');
    const limit = dumped
      ? await dumpRestore(bench.sourceUrl, table, bench.peerUrl)
      : await psqlPipe(bench.sourceUrl, table, table, bench.peerUrl);
    await bench.target.query('checkpoint');
    const own = await go(await ours(bench, 'copy'));
    await same(bench.source, bench.target);
    series.add(round, own.seconds, limit, own.peakRssMb);
  }
  return series.measured(rows);
}

/** One transaction of five million rows: what counts is the memory. */
async function giant(bench: Bench): Promise<Result> {
  const changes = 5_000_000;
  await prepare(bench, 0);
  await go(await ours(bench, 'attach'));
  await bench.source.query(giantSql(table, changes));
  await bench.source.query(lastRow(table));
  const { seconds, peakRssMb } = await applied(bench);
  return {
    case: 'cdc-giant',
    rows: changes,
    rowsPerSecond: Math.round(changes / seconds),
    limitRowsPerSecond: 0,
    ratio: Number((peakRssMb / 256).toFixed(3)),
    target: 1,
    peakRssMb: Math.round(peakRssMb),
    rounds: 1,
  };
}

/** Milliseconds from commit until somebody else sees the row at the target, while nothing else goes on. */
async function latency(bench: Bench): Promise<Result[]> {
  await prepare(bench, 1000);
  await go(await ours(bench, 'attach'));
  await bench.source.query("select pg_create_logical_replication_slot('peer', 'pgoutput')");
  const child = await ours(bench, 'apply');
  child.process.stdin?.write('go\n');
  await bench.peer.query(
    `create subscription peer connection '${bench.sourceUrl}' publication peer with (create_slot = false, slot_name = 'peer', copy_data = false, binary = true)`,
  );
  await sleep(2000);
  const own: number[] = [];
  const peer: number[] = [];
  const samples = 300;
  for (let sample = 0; sample < samples; sample++) {
    const id = 5_000_000 + sample;
    await bench.source.query(`insert into ${table} values (${id}, 1, 1, 'card', null, now())`);
    const committed = performance.now();
    const visible = async (client: pg.Client, times: number[]): Promise<void> => {
      for (;;) {
        const { rowCount } = await client.query({ name: 'seen', text: `select from ${table} where id = $1`, values: [id] });
        if (rowCount) return void times.push(performance.now() - committed);
        if (performance.now() - committed > 10_000) throw wrong('A row was not seen within ten seconds.');
      }
    };
    // Whoever polls takes time from the others on a small machine: one after the other, and the first one alternates.
    if (sample % 2 === 0) await visible(bench.target, own);
    else await visible(bench.peer, peer);
    await sleep(20 + ((sample * 37) % 30));
  }
  child.process.stdin?.write('stop\n');
  await child.ended;
  const peakRssMb = Math.round(child.memory.stop());
  return (
    [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const
  ).map(([name, share]) => ({
    case: `cdc-latency-${name}`,
    rows: own.length,
    milliseconds: rounded(percentile(own, share)),
    peerMilliseconds: rounded(percentile(peer, share)),
    rowsPerSecond: 0,
    limitRowsPerSecond: 0,
    ratio: rounded(percentile(peer, share) / percentile(own, share), 3),
    target: name === 'p50' ? 20 : 100,
    peakRssMb,
    rounds: 1,
  }));
}

const ours = (bench: Bench, work: 'attach' | 'drain' | 'apply' | 'copy', after = ''): Promise<Child> =>
  started(work, { source: bench.sourceUrl, target: bench.targetUrl, table }, after);

async function go(child: Child): Promise<{ seconds: number; changes: number; position: string | null; peakRssMb: number }> {
  child.process.stdin?.write('go\n');
  const code = await child.ended;
  const peakRssMb = child.memory.stop();
  if (code !== 0) throw wrong(`The process ended with ${code}.`);
  return { ...(JSON.parse(child.lines.at(-1) ?? '{}') as { seconds: number; changes: number; position: string | null }), peakRssMb };
}

/** Waits until the last row is there. */
async function seen(client: pg.Client, child?: Child): Promise<void> {
  let gone = false;
  child?.ended.then(() => {
    gone = true;
  });
  for (;;) {
    const { rowCount } = await client.query(`select from ${table} where id = -1`);
    if (rowCount) return;
    if (gone) throw wrong('The process ended before all was there.');
    await sleep(20);
  }
}

async function same(one: pg.Client, other: pg.Client): Promise<void> {
  const sum = `select count(*) || '/' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) as sum from ${table} t`;
  const [a, b] = await Promise.all([one, other].map((client) => client.query<{ sum: string }>(sum)));
  if (a?.rows[0]?.sum !== b?.rows[0]?.sum) throw wrong(`The target is not equal to the source: ${a?.rows[0]?.sum} and ${b?.rows[0]?.sum}.`);
}

async function dropSlots(source: pg.Client): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { rows } = await source.query('select slot_name from pg_replication_slots where database = current_database()');
    if (rows.length === 0) return;
    for (const { slot_name: slot } of rows) await source.query('select pg_drop_replication_slot($1)', [slot]).catch(() => sleep(50));
  }
}

import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createDatabase, embeddedPostgres } from '@millrace/cli/embedded';
import { MillraceError } from '@millrace/core';
import pg from 'pg';
import { binlog } from './binlog.ts';
import { dropLineitem, lineitemSql } from './lineitem.ts';
import type { Options } from './main.ts';
import { type MariaDbServer, mariaDbServer } from './mariadb.ts';
import { watchMemory } from './memory.ts';
import { shell } from './peer.ts';
import { median, type Result } from './report.ts';

/** Times that the driver's own row stream is to be beaten by; of the pipe of both databases' clients no share is promised. */
const targets = { driver: 2, pipe: 0.5 } as const;
type Peer = keyof typeof targets;

/** A full load from MariaDB to Postgres, each round beside a program around the driver's row stream and beside `mariadb --batch | psql`. */
export async function* mysql(options: Options): AsyncIterable<Result> {
  const { only } = options;
  if (only.length === 0 || only.some((name) => !name.startsWith('binlog-'))) yield* fullLoad(options);
  yield* binlog(options);
}

async function* fullLoad({ rows, rounds, only }: Options): AsyncIterable<Result> {
  const settings = { fsync: 'off', shared_buffers: '512MB', max_wal_size: '4GB', full_page_writes: 'off', autovacuum: 'off' };
  await using postgres = await embeddedPostgres({ directory: '.millrace/bench', settings });
  await using mariadb = await mariaDbServer();
  const url = await createDatabase(postgres.url, 'bench');
  await using database = await connect(url);
  for (const statement of lineitemSql(1)) await database.query(statement);
  await mariadb.sql(...sourceSql(rows));
  const bench: Bench = { url, rows, database, mariadb };
  const times: Record<Peer | 'own', number[]> = { own: [], driver: [], pipe: [] };
  const processor: Record<'own' | 'driver', number[]> = { own: [], driver: [] };
  let peakRssMb = 0;
  for (let round = 0; round <= rounds; round++) {
    for (const way of ['driver', 'pipe', 'own'] as const) {
      if (way !== 'own' && only.length > 0 && !only.includes(way)) continue;
      await database.query('truncate lineitem_copy');
      await database.query('checkpoint');
      const measured =
        way === 'pipe'
          ? { seconds: await pipe(bench), processorSeconds: 0, peakRssMb: 0 }
          : await runLane(way === 'own' ? 'millrace' : way, bench);
      await count(bench);
      if (way === 'own') peakRssMb = Math.max(peakRssMb, measured.peakRssMb);
      if (round === 0) continue;
      times[way].push(measured.seconds);
      if (way !== 'pipe') processor[way].push(measured.processorSeconds);
    }
  }
  await database.query(dropLineitem);
  for (const peer of Object.keys(targets) as Peer[]) {
    if (times[peer].length === 0) continue;
    yield {
      case: `mysql ${peer}`,
      rows,
      rowsPerSecond: Math.round(rows / median(times.own)),
      limitRowsPerSecond: Math.round(rows / median(times[peer])),
      ratio: Number(median(times.own.map((seconds, round) => (times[peer][round] as number) / seconds)).toFixed(3)),
      target: targets[peer],
      peakRssMb: Math.round(peakRssMb),
      rounds,
      ...(peer === 'driver' && { processorSeconds: tenths(processor.own), peerProcessorSeconds: tenths(processor.driver) }),
    };
  }
}

const tenths = (seconds: readonly number[]): number => Number(median(seconds).toFixed(1));

interface Bench {
  readonly url: string;
  readonly rows: number;
  readonly database: pg.Client;
  readonly mariadb: MariaDbServer;
}

/** As `lineitem.ts` has it for Postgres, with another hash. */
function sourceSql(rows: number): string[] {
  const ddl = (name: string): string => `create table ${name} (
    l_orderkey bigint not null, l_partkey int not null, l_suppkey int not null, l_linenumber int not null,
    l_quantity decimal(15,2) not null, l_extendedprice decimal(15,2) not null, l_discount decimal(15,2) not null, l_tax decimal(15,2) not null,
    l_returnflag char(1) not null, l_linestatus char(1) not null, l_shipdate date not null, l_commitdate date not null, l_receiptdate date not null,
    l_shipinstruct char(25) not null, l_shipmode char(10) not null, l_comment varchar(44) not null, primary key (l_orderkey, l_linenumber)) character set latin1`;
  return [
    'drop table if exists lineitem, lineitem_some',
    ddl('lineitem'),
    ddl('lineitem_some'),
    `insert into lineitem select i div 4 + 1, h % 200000 + 1, h % 10000 + 1, i % 4 + 1, h % 50 + 1, (h % 10000000) / 100 + 900, (h % 11) / 100, (h % 9) / 100,
       substr('RAN', h % 3 + 1, 1), substr('OF', h % 2 + 1, 1), date '1992-01-01' + interval h % 2526 day, date '1992-01-31' + interval h % 2466 day, date '1992-01-03' + interval h % 2554 day,
       elt(h % 4 + 1, 'DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'), elt(h % 7 + 1, 'REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'),
       substr('furiously special foxes, "quoted" accounts sleep blithely against the ironic deposits', h % 40 + 1, 10 + h % 34)
     from (select seq as i, crc32(seq) as h from seq_0_to_${rows - 1}) as s`,
    'insert into lineitem_some select * from lineitem limit 100000',
    'analyze table lineitem, lineitem_some',
  ];
}

/** Tabs and line feeds are what both clients speak; there is nothing in the rows that they would escape otherwise. */
async function pipe({ url, mariadb }: Bench): Promise<number> {
  const started = performance.now();
  await shell(
    'set -o pipefail; LD_LIBRARY_PATH="$LIBRARIES" "$CLIENT" --no-defaults -h127.0.0.1 -P"$PORT" -uroot --quick --batch -N bench -e "select * from lineitem" | psql -qXd "$URL" -c "copy lineitem_copy from stdin"',
    { URL: url, CLIENT: mariadb.client, LIBRARIES: mariadb.libraries, PORT: String(mariadb.port) },
  );
  return (performance.now() - started) / 1000;
}

/** In development the sources run as they are. */
const own = import.meta.url.endsWith('.ts')
  ? { file: 'mysql-lane.ts', flags: ['--conditions=millrace-source', '--import', 'tsx'] }
  : { file: 'mysql-lane.js', flags: [] };

async function runLane(
  way: 'millrace' | 'driver',
  { url, rows, mariadb, database }: Bench,
): Promise<{ seconds: number; processorSeconds: number; peakRssMb: number }> {
  const child = spawn(process.execPath, [...own.flags, path.join(import.meta.dirname, own.file), way], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, MILLRACE_BENCH_URL: url, MILLRACE_BENCH_FROM: mariadb.url },
  });
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  const memory = watchMemory(child.pid as number);
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    if (line !== 'ready') {
      lines.push(line);
      continue;
    }
    await database.query('truncate lineitem_copy');
    await database.query('checkpoint');
    child.stdin.write('go\n');
  }
  const peakRssMb = memory.stop();
  const code = await ended;
  const result =
    lines.length > 0 ? (JSON.parse(lines.at(-1) as string) as { seconds: number; processorSeconds: number; rows: number }) : undefined;
  if (code === 0 && result?.rows === rows) return { seconds: result.seconds, processorSeconds: result.processorSeconds, peakRssMb };
  throw new MillraceError('INTERNAL', {
    message: `${way} ended with ${code} after ${result?.rows} rows.`,
    remedy: 'Its own message stands above.',
  });
}

async function count({ database, rows }: Bench): Promise<void> {
  const result = await database.query<{ rows: string }>('select count(*) as rows from lineitem_copy');
  if (Number(result.rows[0]?.rows) === rows) return;
  throw new MillraceError('INTERNAL', {
    message: `${result.rows[0]?.rows} rows arrived where ${rows} were sent.`,
    remedy: 'Please report it.',
  });
}

async function connect(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

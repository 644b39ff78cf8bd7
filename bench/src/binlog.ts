import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, embeddedPostgres } from '@millrace/cli/embedded';
import pg from 'pg';
import { type Child, started, wrong } from './cdc-child.ts';
import { ledgerSql } from './cdc-workload.ts';
import type { Options } from './main.ts';
import { type MariaDbServer, mariaDbServer } from './mariadb.ts';
import { type Result, Series } from './report.ts';

/** Of a replica of MariaDB's own, which applies the same log with one thread, as is its default; no share is promised. */
const target = 0.5;
const table = 'ledger';

interface Workload {
  readonly before: number;
  readonly changes: number;
  readonly sql: readonly string[];
}

const rowsFrom = (numbers: string): string =>
  `select i, crc32(i) % 100000, (i % 100000) / 100, elt(i % 3 + 1, 'card', 'cash', 'wire'), concat('booking number ', i), timestamp'2026-01-01 00:00:00' + interval i second from (${numbers}) as n`;

/** Commits inside of one call, so that making the workload does not take longer than what is measured. */
const transactions = (count: number, body: string): string[] => [
  'drop procedure if exists work',
  `create procedure work() begin declare t bigint default 0; while t < ${count} do start transaction; ${body} commit; set t = t + 1; end while; end`,
  'call work()',
];

const workloads = {
  /** New rows only, a thousand a transaction. */
  inserts: {
    before: 1000,
    changes: 1_000_000,
    sql: transactions(1000, `insert into ${table} ${rowsFrom('select 1000000 + t * 1000 + seq as i from seq_0_to_999')};`),
  },
  /** Ten rows a transaction: six new ones, three that change, one that goes. */
  small: {
    before: 300_000,
    changes: 300_000,
    sql: transactions(
      30_000,
      `insert into ${table} ${rowsFrom('select 2000000 + t * 6 + seq as i from seq_0_to_5')};
       update ${table} set amount = amount + 1, note = concat('corrected ', t) where id between t * 10 and t * 10 + 2;
       delete from ${table} where id = t * 10 + 5;`,
    ),
  },
} as const satisfies Readonly<Record<string, Workload>>;

/** A binary log, applied to Postgres by us and to a MariaDB by its own replication, each of them first in every other round. */
export async function* binlog({ rounds, only }: Options): AsyncIterable<Result> {
  const wanted = (Object.keys(workloads) as (keyof typeof workloads)[]).filter(
    (name) => only.length === 0 || only.includes(`binlog-${name}`),
  );
  if (wanted.length === 0) return;
  const settings = { fsync: 'off', shared_buffers: '512MB', max_wal_size: '4GB', full_page_writes: 'off', autovacuum: 'off' };
  await using postgres = await embeddedPostgres({ directory: '.millrace/bench', settings });
  await using source = await mariaDbServer([
    '--server-id=1',
    '--log-bin=log-bin',
    '--binlog-format=ROW',
    '--binlog-row-metadata=FULL',
    '--gtid-strict-mode=1',
    '--innodb-log-file-size=1G',
  ]);
  await using replica = await mariaDbServer(['--server-id=2', '--innodb-log-file-size=1G', '--replicate-ignore-db=_millrace']);
  const url = await createDatabase(postgres.url, 'bench_binlog');
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const name of wanted) {
      const series = new Series();
      for (let round = 0; round <= rounds; round++) {
        await prepare({ url, client, source, replica }, workloads[name]);
        const first = round % 2 === 0 ? await replicated(source, replica) : null;
        const own = await applied({ url, client, source });
        series.add(round, own.seconds, first ?? (await replicated(source, replica)), own.peakRssMb);
      }
      yield { case: `mysql binlog-${name}`, target, rounds, ...series.measured(workloads[name].changes) };
    }
  } finally {
    await client.end();
  }
}

interface Bench {
  readonly url: string;
  readonly client: pg.Client;
  readonly source: MariaDbServer;
  readonly replica: MariaDbServer;
}

/** Both targets have what the source had before the workload, which is in its log. */
async function prepare({ url, client, source, replica }: Bench, { before, sql }: Workload): Promise<void> {
  const made = [
    `drop table if exists ${table}`,
    `create table ${table} (id bigint primary key, account int not null, amount decimal(12,2) not null, kind varchar(10) not null, note varchar(60), booked_at timestamp(6) not null default current_timestamp(6))`,
    `insert into ${table} ${rowsFrom(`select seq as i from seq_0_to_${before - 1}`)}`,
  ];
  await source.sql('reset master', 'drop database if exists _millrace', ...made);
  await replica.sql('drop database if exists _millrace', ...made);
  await client.query(`drop table if exists ${table}; drop schema if exists _millrace cascade; ${ledgerSql(table)}`);
  await go(await ours('copy', { url, source }));
  const [{ at = '' } = {}] = await source.sql('select @@gtid_binlog_pos as at');
  await replica.sql(`set global gtid_slave_pos = '${at}'`);
  await source.sql(...sql, `insert into ${table} values (-1, 0, 0, 'last', null, now(6))`);
  await client.query('checkpoint');
}

/** Seconds from "go" until the last change can be seen in Postgres. */
async function applied({ url, client, source }: Omit<Bench, 'replica'>): Promise<{ seconds: number; peakRssMb: number }> {
  const child = await ours('apply', { url, source });
  const begun = performance.now();
  child.process.stdin?.write('go\n');
  let gone = false;
  void child.ended.then(() => {
    gone = true;
  });
  while (!(await client.query(`select from ${table} where id = -1`)).rowCount) {
    if (gone) throw wrong('The process ended before all was there.');
    await sleep(20);
  }
  const seconds = (performance.now() - begun) / 1000;
  child.process.stdin?.write('stop\n');
  await child.ended;
  const sums = `select count(*) as n, sum(id) as ids, sum(amount) as amounts, sum(length(note)) as notes from ${table}`;
  const [there] = await source.sql(sums);
  same(there, (await client.query(sums)).rows[0]);
  return { seconds, peakRssMb: child.memory.stop() };
}

/** Seconds that the server's own replication takes, from when it is begun. */
async function replicated(source: MariaDbServer, replica: MariaDbServer): Promise<number> {
  await replica.sql(
    `change master to master_host = '127.0.0.1', master_port = ${source.port}, master_user = 'root', master_use_gtid = slave_pos, master_ssl_verify_server_cert = 0`,
  );
  const begun = performance.now();
  await replica.sql('start slave');
  while ((await replica.sql(`select 1 as there from ${table} where id = -1`)).length === 0) await sleep(20);
  const seconds = (performance.now() - begun) / 1000;
  await replica.sql('stop slave', 'reset slave all');
  const sums = `select count(*) as n, sum(id) as ids, sum(amount) as amounts, sum(length(note)) as notes from ${table}`;
  same((await source.sql(sums))[0], (await replica.sql(sums))[0]);
  return seconds;
}

function same(one: unknown, other: unknown): void {
  const [a, b] = [JSON.stringify(one), JSON.stringify(other)];
  if (a !== b) throw wrong(`The target is not equal to the source: ${a} and ${b}.`);
}

const ours = (work: 'copy' | 'apply', { url, source }: { readonly url: string; readonly source: MariaDbServer }): Promise<Child> =>
  started(work, { source: source.url, target: url, table });

async function go(child: Child): Promise<void> {
  child.process.stdin?.write('go\n');
  const code = await child.ended;
  child.memory.stop();
  if (code !== 0) throw wrong(`The process ended with ${code}.`);
}

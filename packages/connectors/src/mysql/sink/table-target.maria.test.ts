import { Readable } from 'node:stream';
import {
  array,
  bit,
  bool,
  bytea,
  char,
  date,
  enumeration,
  float4,
  float8,
  inet,
  int2,
  int4,
  int8,
  interval,
  json,
  jsonb,
  numeric,
  table,
  text,
  time,
  timestamp,
  timestamptz,
  uuid,
  varchar,
} from '@millrace/core';
import {
  batchesOf,
  batchOfRows,
  encodeCsv,
  isMillraceError,
  type RejectedRow,
  type RowSchema,
  rowsOf,
  type Selection,
  type Table,
} from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { batches, loadRows, loosened, type Row, specOf, split, type TestLoad, testContext } from '../../../test/load.ts';
import { mysql } from '../index.ts';
import type { MysqlLoadOptions } from './table-target.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

const orders = table('orders', { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() }, { key: ['id'] });
const order = (id: number, total = '1.00', note: string | null = null, day = '01'): Row => ({
  id: BigInt(id),
  total,
  note,
  updated_at: `2026-03-${day}T00:00:00.000000Z`,
});
const load = (db: MariaDbDatabase, options: MysqlLoadOptions, spec: TestLoad, target: Table = orders) =>
  loadRows(mysql({ url: db.url }).table(target, options), spec);
const rows = async (db: MariaDbDatabase) =>
  (await db.sql('select id, total, note from orders order by id')).map((row) => Object.values(row).join(' '));
const code = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (isMillraceError(error) ? `${error.code}: ${error.message}` : String(error)),
  );

test.for(['append', 'merge', 'replace', 'history'] as const)(
  '%s: the same load twice is applied once, and its parts are gone',
  async (mode) => {
    const db = await server.database();
    const spec = { id: 'load-1', splits: [[order(1)], [order(2)]] };
    const first = await load(db, { mode, schema: 'create' }, spec);
    expect(await load(db, { mode, schema: 'create' }, { ...spec, epoch: 2 })).toEqual(first);
    expect(await rows(db)).toEqual(['1 1.00 ', '2 1.00 ']);
    expect(
      await db.sql(
        `select table_name from information_schema.tables where table_schema = database() and table_name regexp 'part|built|retired'`,
      ),
    ).toEqual([]);
    expect(await db.sql('select * from _millrace_staged')).toEqual([]);
    expect(await db.sql('select * from _millrace_session')).toEqual([]);
  },
);

test.for([false, true])(
  'merge inserts, updates what has changed, leaves what is equal, and takes the last of a key (another unique index: %s)',
  async (other) => {
    const db = await server.database();
    const options = { mode: 'merge', schema: 'create' } as const;
    await load(db, options, { id: 'a', splits: [[order(1, '1.00'), order(2, '2.00', 'two'), order(3, '3.00')]] });
    if (other) await db.sql('alter table orders add unique key (total)');
    const receipt = await load(db, options, {
      id: 'b',
      runAt: '2026-03-30',
      splits: [
        [order(2, '2.00', 'two'), order(3, '9.00')],
        [order(3, '3.50', 'late'), order(4, '4.00')],
      ],
    });
    expect(receipt.changed).toEqual({ inserted: 1, updated: 1, unchanged: 1 });
    expect(await rows(db)).toEqual(['1 1.00 ', '2 2.00 two', '3 3.50 late', '4 4.00 ']);
  },
);

test.each(['unique', ', unique (email(2))'])('a merge does not let another unique index choose which row it updates: %s', async (index) => {
  const db = await server.database();
  await db.sql(`create table people (id bigint primary key, email varchar(50) not null ${index})`, `insert into people values (1, 'a@x')`);
  const people = table('people', { id: int8(), email: varchar(50) }, { key: ['id'] });
  expect(await code(load(db, { mode: 'merge' }, { splits: [[{ id: 2n, email: 'a@x' }]] }, people))).toMatch(
    /^TYPE_MISMATCH: .*Duplicate entry/,
  );
  expect(await db.sql('select * from people')).toEqual([{ id: '1', email: 'a@x' }]);
});

test('merge takes the row with the latest cursor, whatever the order of arrival', async () => {
  const db = await server.database();
  const window = { column: 'updated_at', low: null, high: '2026-04-01' };
  const splits = [[order(1, '1.00', 'newest', '09'), order(1, '2.00', 'older', '05')], [order(1, '3.00', 'oldest', '01')]];
  await load(db, { mode: 'merge', schema: 'create' }, { window, parallel: true, splits });
  expect(await rows(db)).toEqual(['1 1.00 newest']);
});

test('keys that differ in case or in a blank at the end are two keys', async () => {
  const db = await server.database();
  const words = table('words', { word: varchar(10), n: int4() }, { key: ['word'] });
  const splits = [['a', 'A', 'a ', 'á'].map((word, n) => ({ word, n }))];
  await load(db, { mode: 'merge', schema: 'create' }, { splits }, words);
  expect(await db.sql('select count(*) as n from words')).toEqual([{ n: '4' }]);
});

test.each([
  ['utf8mb4_general_ci', 'a', 'A'],
  ['utf8mb4_bin', 'a', 'a '],
  ['utf8mb4_unicode_ci', 'strasse', 'straße'],
] as const)('keys that only the collation %s takes for one are refused: %j and %j', async (collation, one, other) => {
  const words = table('words', { word: varchar(10), n: int4() }, { key: ['word'] });
  const versions = ', valid_from timestamp(6) not null, valid_to timestamp(6) null, is_current boolean not null';
  for (const mode of ['merge', 'history'] as const) {
    const db = await server.database();
    await db.sql(
      `create table words (word varchar(10) collate ${collation}, n int not null${mode === 'history' ? versions : ''}, primary key (word${mode === 'history' ? ', valid_from' : ''}))`,
    );
    const at = (day: string) => ({ id: day, runAt: `2026-03-${day}`, context: testContext(`2026-03-${day}T02:00:00.000Z`) });
    const refused = new RegExp(`^TYPE_MISMATCH: .*compares "word" by ${collation}`);
    await load(db, { mode }, { ...at('01'), splits: [[{ word: one, n: 1 }], [{ word: one, n: 2 }]] }, words);
    expect(await code(load(db, { mode }, { ...at('02'), splits: [[{ word: other, n: 3 }]] }, words))).toMatch(refused);
    const both = [
      [
        { word: 'b', n: 4 },
        { word: 'B', n: 5 },
      ],
      [{ word: 'c', n: 6 }],
      [{ word: 'c ', n: 7 }],
    ];
    expect(await code(load(db, { mode }, { ...at('03'), splits: both }, words))).toMatch(refused);
    await load(db, { mode }, { ...at('04'), splits: [[{ word: one, n: 8 }]] }, words);
    expect(await db.sql(`select word, n from words ${mode === 'history' ? 'where is_current' : ''}`)).toEqual([{ word: one, n: '8' }]);
  }
});

test.for(['swapped', 'it has triggers', 'it has foreign keys', 'other tables refer to it'])(
  'replace leaves the new rows alone, and what hangs on the table stays: %s',
  async (why) => {
    const db = await server.database();
    await load(db, { mode: 'append', schema: 'create' }, { id: 'a', splits: [[order(1), order(2)]] });
    if (why === 'it has triggers') await db.sql('create trigger t before insert on orders for each row set @x = 1');
    if (why === 'it has foreign keys')
      await db.sql(
        'create table parent (id bigint primary key)',
        'insert into parent values (3)',
        'delete from orders',
        'alter table orders add foreign key (id) references parent (id)',
      );
    if (why === 'other tables refer to it') await db.sql('create table child (id bigint, foreign key (id) references orders (id))');
    await db.sql('alter table orders add index by_total (total)');
    const context = testContext();
    const receipt = await load(db, { mode: 'replace' }, { id: 'b', runAt: '2026-03-30', context, splits: [[order(3)]] });
    expect(receipt.rows).toBe(1);
    expect(await rows(db)).toEqual(['3 1.00 ']);
    expect((await db.sql('show index from orders')).map((index) => index['Key_name'])).toContain('by_total');
    expect(context.lines.join('\n')).toMatch(why === 'swapped' ? /^$/ : new RegExp(`emptied and filled again rather than swapped: ${why}`));
    if (why === 'it has triggers') expect(await db.sql('show triggers')).toHaveLength(1);
  },
);

test.each([
  ['trigger', '', /without TRIGGER on it/],
  ['key elsewhere', 'trigger', /without PROCESS or SELECT on all databases/],
  ['key elsewhere', 'trigger, process', /tables elsewhere refer to it/],
  ['nothing', 'trigger, process', /^$/],
] as const)('replace with the rights of the manual does not take away what this user cannot see: %s, %s', async (what, more, said) => {
  const [db, elsewhere] = [await server.database(), await server.database()];
  const user = `${db.name}_loader`;
  await load(db, { mode: 'append', schema: 'create' }, { id: 'a', splits: [[order(1)]] });
  if (what === 'trigger') await db.sql('create trigger t before insert on orders for each row set @x = 1');
  if (what === 'key elsewhere')
    await elsewhere.sql(`create table child (id bigint, constraint of_orders foreign key (id) references ${db.name}.orders (id))`);
  await server.sql(
    `create user ${user}@'%' identified by 'pw'`,
    `grant create, create temporary tables, drop, alter, insert, update, delete, select on ${db.name}.* to ${user}@'%'`,
    ...(more.includes('trigger') ? [`grant trigger on ${db.name}.* to ${user}@'%'`] : []),
    ...(more.includes('process') ? [`grant process on *.* to ${user}@'%'`] : []),
  );
  const context = testContext();
  const target = mysql({ url: db.url.replace('root@', `${user}:pw@`) }).table(orders, { mode: 'replace' });
  await loadRows(target, { id: 'b', runAt: '2026-03-30', context, splits: [[order(2)]] });
  expect(await rows(db)).toEqual(['2 1.00 ']);
  expect(context.lines.join('\n')).toMatch(said);
  if (what === 'trigger') expect(await db.sql('show triggers')).toHaveLength(1);
  if (what === 'key elsewhere') await elsewhere.sql('insert into child values (2)');
});

test('a RENAME that is refused has not happened: the old rows stay, nothing is noted, and the next attempt replaces them', async () => {
  const db = await server.database();
  await load(db, { mode: 'append', schema: 'create' }, { id: 'a', splits: [[order(1)]] });
  const reader = await server.connect(db.name);
  await reader.query('start transaction');
  await reader.query('select * from orders');
  const replacing = { id: 'b', runAt: '2026-03-30', splits: [[order(2)]] };
  const loading = code(load(db, { mode: 'replace' }, replacing));
  const waiting = `select id from information_schema.processlist where db = '${db.name}' and info like 'RENAME TABLE%'`;
  for (let found = await server.sql(waiting); ; found = await server.sql(waiting)) {
    const [one] = found;
    if (one) await server.sql(`kill query ${one['id']}`);
    if (one) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(await loading).toMatch(/interrupted/);
  expect(await rows(db)).toEqual(['1 1.00 ']);
  expect(await db.sql('select load_id from _millrace_applied')).toEqual([{ load_id: 'a' }]);
  expect(await db.sql('select * from _millrace_swap')).toEqual([]);
  await reader.query('commit');
  await load(db, { mode: 'replace' }, { ...replacing, epoch: 2 });
  expect(await rows(db)).toEqual(['2 1.00 ']);
});

test.each(['append', 'replace'] as const)(
  'a load does not wait for the fence of another, and old entries of the ledger go: %s',
  async (mode) => {
    const db = await server.database();
    await load(db, { mode, schema: 'create' }, { id: 'a', splits: [[order(1)]] });
    await db.sql(
      `insert into _millrace_fence (fence_key, epoch, touched_at) values ('held', 1, now()), ('held and old', 1, now() - interval 200 day), ('old', 1, now() - interval 200 day)`,
      `insert into _millrace_applied (load_id, receipt, applied_at) values ('old', '{}', now() - interval 200 day)`,
    );
    const other = await server.connect(db.name);
    await other.query('start transaction');
    for (const key of ['held', 'held and old']) await other.query(`select * from _millrace_fence where fence_key = '${key}' for update`);
    const started = Date.now();
    await load(db, { mode }, { id: 'b', runAt: '2026-03-30', splits: [[order(2)]] });
    expect(Date.now() - started).toBeLessThan(10_000);
    await other.query('rollback');
    await load(db, { mode }, { id: 'c', runAt: '2026-03-31', splits: [[order(3)]] });
    expect(await db.sql('select fence_key from _millrace_fence order by 1')).toEqual([{ fence_key: 'held' }, { fence_key: 'run-1/load' }]);
    expect(await db.sql('select load_id from _millrace_applied order by 1')).toEqual(['a', 'b', 'c'].map((id) => ({ load_id: id })));
  },
);

test('a part that another run of the same window has left is not taken for one of this run', async () => {
  const db = await server.database();
  await load(db, { mode: 'append', schema: 'create' }, { id: 'a', splits: [[order(1)]] });
  const target = mysql({ url: db.url }).table(orders, { mode: 'append' });
  const runs = ['run-2/load', 'run-3/load'].map((key) => specOf(target, { id: 'b', runAt: '2026-03-30', key, splits: [] }));
  await using sink = await target.open(testContext());
  await using left = await sink.begin(runs[0]!.spec, runs[0]!.fence);
  const before = await left.stage(split(0), batches(orders, [order(2)]));
  await using session = await sink.begin(runs[1]!.spec, runs[1]!.fence);
  const part = await session.stage(split(0), batches(orders, [order(2), order(3)]));
  expect(part).toMatchObject({ rows: 2 });
  expect(await left.recover?.([before])).toEqual([before]);
  expect(await session.stage(split(0), batches(orders, []))).toEqual(part); // its own it does find again
  await left.abort(new Error('given up'));
  await session.commit([part], runs[1]!.checkpoint);
  expect(await rows(db)).toEqual(['1 1.00 ', '2 1.00 ', '3 1.00 ']);
  expect(await db.sql('select * from _millrace_staged')).toEqual([]);
});

test('history keeps every version, closes what is gone, and does not go back in time', async () => {
  const db = await server.database();
  const options = { mode: 'history', schema: 'create', history: { deletes: 'close' } } as const;
  const at = (day: string) => ({ context: testContext(`2026-03-${day}T02:00:00.000Z`), runAt: `2026-03-${day}`, id: day });
  await load(db, options, { ...at('01'), splits: [[order(1), order(2), order(3)]] });
  await load(db, options, { ...at('02'), splits: [[order(1), order(2, '2.00')]] });
  await load(db, options, { ...at('03'), splits: [[order(1, '1.00', 'A'), order(2, '2.00')]] });
  await load(db, options, { ...at('04'), splits: [[order(1, '1.00', 'a'), order(2, '2.00')]] });
  const versions = await db.sql(
    `set time_zone = '+00:00'`,
    'select id, total, note, day(valid_from) as f, day(valid_to) as t, is_current as c from orders order by id, valid_from',
  );
  expect(versions.map((row) => Object.values(row).map(String).join(' '))).toEqual([
    '1 1.00 null 1 3 0',
    '1 1.00 A 3 4 0',
    '1 1.00 a 4 null 1',
    '2 1.00 null 1 2 0',
    '2 2.00 null 2 null 1',
    '3 1.00 null 1 2 0',
  ]);
  expect(await code(load(db, options, { ...at('03'), id: 'again', runAt: '2026-03-05', splits: [[order(1)]] }))).toMatch(
    /^CHECKPOINT_MOVED/,
  );
});

/** Every type of Millrace that MySQL has a place for, values that try it, and what MySQL prints of them. */
const typed = table(
  'typed',
  {
    id: int4(),
    bool: bool().orNull(),
    int2: int2().orNull(),
    int8: int8().orNull(),
    float4: float4().orNull(),
    float8: float8().orNull(),
    numeric: numeric(65, 30).orNull(),
    text: text().orNull(),
    varchar: varchar(20).orNull(),
    char: char(5).orNull(),
    bytea: bytea().orNull(),
    date: date().orNull(),
    time: time().orNull(),
    timestamp: timestamp().orNull(),
    timestamptz: timestamptz().orNull(),
    uuid: uuid().orNull(),
    json: json().orNull(),
    jsonb: jsonb().orNull(),
    bit: bit(12).orNull(),
    word: enumeration('word', ['a', `it's`]).orNull(),
    interval: interval().orNull(),
    inet: inet().orNull(),
    array: array(int4()).orNull(),
  },
  { key: ['id'] },
);
const nothing = Object.fromEntries(typed.columns.map(({ name }) => [name, null]));
const values: Row[] = [
  { ...nothing, id: 1 },
  {
    id: 2,
    bool: true,
    int2: -32768,
    int8: 9223372036854775807n,
    float4: Math.fround(0.1),
    float8: 5e-324,
    numeric: `-${'9'.repeat(35)}.${'9'.repeat(30)}`,
    text: 'tab\tline\nback\\slash\r\b\u0001 "quoted" \'single\' \\N 🦉',
    varchar: '',
    char: 'ab   ',
    bytea: new Uint8Array(256).map((_, at) => at),
    date: '9999-12-31',
    time: '24:00:00.000000',
    timestamp: '9999-12-31T23:59:59.999999',
    timestamptz: '2038-01-19T03:14:07.999999Z',
    uuid: '123e4567-e89b-12d3-a456-426614174000',
    json: '{"a": [1, "ü\\n"]}',
    jsonb: '[]',
    bit: '000000000101',
    word: `it's`,
    interval: 'P1DT2H',
    inet: '10.0.0.1/8',
    array: [1, null, 3],
  },
  {
    ...nothing,
    id: 3,
    bool: false,
    float8: -0.1,
    text: '\\N',
    varchar: 'NULL',
    date: '0001-01-01',
    timestamp: '2024-02-29T00:00:00.000000',
    timestamptz: '1970-01-01T00:00:01.000000Z',
    bytea: new Uint8Array(0),
    json: 'null',
  },
];

test.for([
  ['batches', '1'],
  ['csv', '1'],
  ['batches', '0'],
] as const)('every type comes back as it went in, through %s, with local_infile = %s', async ([format, infile]) => {
  const db = await server.database();
  await server.sql(`set global local_infile = ${infile}`);
  try {
    const target = mysql({ url: db.url }).table(typed, { mode: 'append', schema: 'create' });
    await loadRows(target, {
      splits: [values],
      ...(format === 'csv' && {
        channel: (schema, given) => ({
          format: 'csv',
          schema,
          stream: Readable.from(
            encodeCsv(
              schema,
              (async function* () {
                yield batchOfRows(schema, given);
              })(),
            ),
            { objectMode: false },
          ),
          done: Promise.resolve({ rows: given.length }),
        }),
      }),
    });
    await loadRows(mysql({ url: db.url }).table(typed, { mode: 'append' }), { id: 'load-2', splits: [[]] }); // it is as it is declared
  } finally {
    await server.sql('set global local_infile = 1');
  }
  const found = await db.sql(`set time_zone = '+00:00'`, 'select *, bin(`bit`) as bits, hex(`bytea`) as bytes from typed where id = 2');
  expect(found[0]).toMatchObject({ interval: 'P1DT2H', inet: '10.0.0.1/8', array: '{1,NULL,3}', bits: '101', bool: '1', char: 'ab' });
  for (const mode of ['append', 'history'] as const) {
    const target = mysql({ url: db.url }).table(mode === 'append' ? typed : table('versions', typed.declared, { key: ['id'] }), {
      mode,
      schema: 'create',
    });
    if (mode === 'history') await loadRows(target, { id: 'load-3', key: 'run/versions', splits: [values] });
    expect(await readAll(target.stored!(typed))).toEqual(values);
  }
});

async function readAll(selection: Selection): Promise<Row[]> {
  await using source = await selection.open(testContext());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const found: Row[] = [];
  for (const split of plan.splits) for await (const batch of batchesOf(await source.open(split, 'batches'))) found.push(...rowsOf(batch));
  return found;
}

test.each([
  [date(), 'infinity'],
  [date(), '0044-03-15 BC'],
  [timestamp(), 'infinity'],
  [timestamptz(), '10000-01-01 00:00:00+00'],
  [float8(), Number.NaN],
  [float8(), Number.POSITIVE_INFINITY],
  [numeric(10, 2), 'NaN'],
] as const)('what MySQL has no value for is refused: %o %s', async (column, value) => {
  const db = await server.database();
  const odd = table('odd', { id: int4(), v: column as never }, { key: ['id'] });
  expect(await code(load(db, { mode: 'append', schema: 'create' }, { splits: [[{ id: 1, v: value }]] }, odd))).toMatch(
    /^VALUE_UNREPRESENTABLE: Column "v": /,
  );
  expect(await db.sql('select * from odd')).toEqual([]);
});

test('a timestamp beyond 2038 is refused by the server, and named', async () => {
  const db = await server.database();
  const odd = table('odd', { id: int4(), v: timestamptz() }, { key: ['id'] });
  const splits = [
    [
      { id: 1, v: '2024-01-01T00:00:00.000000Z' },
      { id: 2, v: '2100-01-01T00:00:00.000000Z' },
    ],
  ];
  expect(await code(load(db, { mode: 'append', schema: 'create' }, { splits }, odd))).toMatch(/^TYPE_MISMATCH: .*column .*v.* at row 2/);
});

test.for([
  ['1', '1'],
  ['0', '1'],
  ['1', '0'],
  ['0', '0'],
] as const)(
  'a NULL in a NOT NULL timestamp is refused, never the present moment (local_infile: %s, explicit_defaults_for_timestamp: %s)',
  async ([infile, explicit]) => {
    const payments = table('payments', { at: timestamptz(), id: int8(), paid_at: timestamptz() }, { key: ['at', 'id'] });
    const payment = (id: number, paid = true): Row => ({
      at: '2026-03-01T00:00:00.000000Z',
      id: BigInt(id),
      paid_at: paid ? '2026-03-02T00:00:00.000000Z' : null,
    });
    await server.sql(`set global local_infile = ${infile}`, `set global explicit_defaults_for_timestamp = ${explicit}`);
    try {
      for (const mode of ['append', 'merge', 'replace', 'history'] as const) {
        const db = await server.database();
        const options = { mode, schema: 'create' } as const;
        await load(db, options, { id: 'a', splits: [[payment(1)]] }, payments);
        const next = { id: 'b', runAt: '2026-03-30', context: testContext('2026-03-30T02:00:00.000Z') };
        const splits = [[payment(2), payment(3), payment(4, false), payment(5)]];
        // A query's reader does not know of columns whether they may be NULL.
        const channel = (schema: RowSchema, rows: readonly Row[]) => batches(loosened(schema), rows);
        expect(await code(load(db, options, { ...next, splits, channel }, payments))).toMatch(
          /^TYPE_MISMATCH: .*"paid_at" must not be NULL, and is at row 3/,
        );
        expect(await db.sql('select id from payments')).toEqual([{ id: '1' }]);
        const rejected: RejectedRow[] = [];
        const spec = { ...next, epoch: 2, splits, channel, reject: (row: RejectedRow) => void rejected.push(row) };
        expect((await load(db, options, spec, payments)).rows).toBe(3);
        expect(rejected.map(({ ordinal }) => ordinal)).toEqual([2]);
        const stored = await db.sql(`set time_zone = '+00:00'`, `select distinct date(paid_at) as day from payments`);
        expect(stored).toEqual([{ day: '2026-03-02' }]);
      }
    } finally {
      await server.sql('set global local_infile = 1', 'set global explicit_defaults_for_timestamp = 1');
    }
  },
);

test.for([true, false])('rows that the table refuses are set aside, the others are loaded (local_infile: %s)', async (infile) => {
  const db = await server.database();
  await db.sql('create table events (id bigint primary key, kind varchar(3) not null, size int null, day date null)');
  const events = table('events', { id: int8(), kind: varchar(3), size: int2().orNull(), day: date().orNull() }, { key: ['id'] });
  await db.sql('alter table events modify size tinyint null');
  const bad: Record<number, object> = { 3: { size: 200 }, 9: { day: 'infinity' }, 10: { size: -200 }, 17: { size: 128 } };
  const given = Array.from({ length: 20 }, (_, id) => ({ id: BigInt(id), kind: 'k', size: 1, day: null, ...bad[id] }));
  const rejected: RejectedRow[] = [];
  await server.sql(`set global local_infile = ${infile ? 1 : 0}`);
  try {
    const spec = { splits: [given.slice(0, 10), given.slice(10)], each: 8, reject: (row: RejectedRow) => void rejected.push(row) };
    expect((await load(db, { mode: 'append' }, spec, events)).rows).toBe(16);
  } finally {
    await server.sql('set global local_infile = 1');
  }
  expect(rejected.map(({ split, ordinal, row }) => [`${split}:${ordinal}`, JSON.parse(row).id])).toEqual([
    ['s0:3', '3'],
    ['s0:9', '9'],
    ['s1:0', '10'],
    ['s1:7', '17'],
  ]);
  expect(await db.sql('select count(*) as n, sum(size) as s from events')).toEqual([{ n: '16', s: '16' }]);
});

test.for(['append', 'merge', 'replace', 'history'] as const)(
  '%s: rows that break a foreign key or a check are set aside, the others are loaded',
  async (mode) => {
    const db = await server.database();
    const versions =
      mode === 'history' ? ', valid_from timestamp(6) not null, valid_to timestamp(6) null, is_current boolean not null' : '';
    await db.sql(
      'create table shops (town varchar(10), number int, primary key (town, number))',
      `insert into shops values ('Bern', 1), ('Bern', 2)`,
      `create table events (id bigint not null, kind varchar(10) check (kind <> 'it''s \\\\'), size int, town varchar(10), shop int, data text check (char_length(data) > 1), parent bigint${versions},
       primary key (id${mode === 'history' ? ', valid_from' : ''}), constraint small check (size < 100 or kind = 'large'),
       constraint of_shop foreign key (town, shop) references shops (town, number))`,
    );
    const events = table(
      'events',
      {
        id: int8(),
        kind: varchar(10).orNull(),
        size: int4().orNull(),
        town: varchar(10).orNull(),
        shop: int4().orNull(),
        data: text().orNull(),
      },
      { key: ['id'] },
    );
    const bad: Record<number, object> = {
      2: { size: 100 },
      3: { size: 100, kind: 'large' }, // this is none
      5: { shop: 9 },
      6: { shop: 9, town: null }, // nor is this
      9: { kind: `it's \\` },
      10: { size: 2 ** 31 - 1, town: 'Basel' },
      12: { data: '{' },
      19: { town: 'Basel' },
    };
    const given = Array.from({ length: 20 }, (_, id) => ({
      id: BigInt(id),
      kind: 'k',
      size: 1,
      town: 'Bern',
      shop: 1 + (id % 2),
      data: '{}',
      ...bad[id],
    }));
    const rejected: RejectedRow[] = [];
    const spec = { splits: [given.slice(0, 10), given.slice(10)], each: 4, reject: (row: RejectedRow) => void rejected.push(row) };
    expect((await load(db, { mode }, spec, events)).rows).toBe(14);
    const found = rejected.map(({ split, ordinal, row }) => `${split}:${ordinal} ${JSON.parse(row).id}`).sort();
    expect(found).toEqual(['s0:2 2', 's0:5 5', 's0:9 9', 's1:0 10', 's1:2 12', 's1:9 19']);
    const messages = rejected.map(({ error }) => (error as Error).message).join('\n');
    expect(messages).toMatch(/breaks the foreign key "of_shop" of .*events: what it points at in .*shops is not there/);
    expect(messages).toMatch(/breaks the check "small"/);
    expect((await db.sql('select id from events')).length).toBe(14);
  },
);

/** A type that a table may have already, and whether it holds every value of the declared one. */
test.each([
  ['binary(16)', bytea(), false],
  ['binary(16)', uuid(), true],
  ['varbinary(16)', bytea(), true],
  ['char(10)', varchar(10), false],
  ['char(10)', char(10), true],
  ['char(9)', char(10), false],
  ['char(36)', uuid(), true],
  ['varchar(10)', varchar(10), true],
  ['year', int2(), false],
  [`set('a','b')`, text(), false],
  [`enum('sad','glad')`, varchar(10), false],
  [`enum('sad','glad')`, text(), false],
  [`enum('sad','glad','2')`, enumeration('mood', ['sad', 'glad']), true],
  [`enum('sad')`, enumeration('mood', ['sad', 'glad']), false],
  ['double(10,2)', float8(), false],
  ['float(10,2)', float4(), false],
  ['double', float8(), true],
  ['datetime', timestamp(), false],
  ['datetime(3)', timestamp(3), true],
  ['timestamp', timestamptz(), false],
  ['time(2)', time(3), false],
  ['decimal(12,2)', numeric(12, 4), false],
  ['decimal(14,4)', numeric(12, 2), true],
] as const)('a column of %s takes a declared type only where it bends no value of it: %o, %s', async (sql, type, fits) => {
  const db = await server.database();
  await db.sql(`create table odd (id bigint primary key, v ${sql} null)`);
  const odd = table('odd', { id: int8(), v: (type as unknown as ReturnType<typeof text>).orNull() }, { key: ['id'] });
  const said = await code(load(db, { mode: 'append' }, { splits: [[]] }, odd));
  expect(said).toMatch(fits ? /^nothing was thrown$/ : /^SCHEMA_DRIFT: [\s\S]*"v" is /);
});

test('what existing columns take comes back as it went in', async () => {
  const db = await server.database();
  await db.sql(
    `create table kept (id bigint primary key, b varbinary(16) not null, u binary(16) not null, c char(5) not null, m enum('sad','glad') character set latin1 not null, d double not null, t datetime(3) not null, n decimal(14,4) not null) default character set utf8mb4`,
  );
  const kept = table(
    'kept',
    {
      id: int8(),
      b: bytea(),
      u: uuid(),
      c: char(5),
      m: enumeration('mood', ['sad', 'glad']),
      d: float8(),
      t: timestamp(3),
      n: numeric(14, 4),
    },
    { key: ['id'] },
  );
  const row: Row = {
    id: 1n,
    b: new Uint8Array([1, 0, 32]),
    u: '123e4567-e89b-12d3-a456-426614174000',
    c: 'ab   ',
    m: 'glad',
    d: 0.1,
    t: '2024-02-29T00:00:00.123000',
    n: '1.0050',
  };
  const target = mysql({ url: db.url }).table(kept, { mode: 'append' });
  await loadRows(target, { splits: [[row]] });
  expect(await readAll(target.stored!(kept))).toEqual([row]);
});

test('a strict load names every difference, and evolve adds and widens without losing anything', async () => {
  const db = await server.database();
  await db.sql('create table orders (id int not null primary key, total decimal(12,2) not null)', 'insert into orders values (1, 5)');
  expect(await code(load(db, { mode: 'append' }, { splits: [[order(2)]] }))).toMatch(
    /^SCHEMA_DRIFT: [\s\S]*"id" is int(\(11\))?[\s\S]*"note" \(text\) is not in the table[\s\S]*"updated_at"/,
  );
  const loose = table('orders', { id: int8(), total: numeric(12, 2), note: text().orNull() }, { key: ['id'] });
  await load(db, { mode: 'append', schema: 'evolve' }, { splits: [[{ id: 9223372036854775807n, total: '1.00', note: 'new' }]] }, loose);
  expect(await rows(db)).toEqual(['1 5.00 ', '9223372036854775807 1.00 new']);
});

test('a row that points at nothing is found also where a NULL stands among what is pointed at', async () => {
  const db = await server.database();
  await db.sql(
    'create table shops (town varchar(10) unique)',
    `insert into shops values (null), ('Bern')`,
    'create table events (id bigint primary key, town varchar(10), foreign key (town) references shops (town))',
  );
  const events = table('events', { id: int8(), town: varchar(10).orNull() }, { key: ['id'] });
  const rejected: RejectedRow[] = [];
  const rows = ['Bern', null, 'Basel', 'Bern'].map((town, id) => ({ id: BigInt(id), town }));
  expect((await load(db, { mode: 'append' }, { splits: [rows], reject: (row) => void rejected.push(row) }, events)).rows).toBe(3);
  expect(rejected.map(({ ordinal }) => ordinal)).toEqual([2]);
});

test('evolve takes nothing away: neither a collation, nor a default, AUTO_INCREMENT or a comment', async () => {
  const db = await server.database();
  const codes = table('codes', { id: int8(), code: varchar(100), state: varchar(20).orNull() }, { key: ['id'] });
  const row = { id: 7n, code: 'x', state: null };
  await db.sql(
    `create table codes (id bigint primary key, code varchar(50) collate utf8mb4_bin not null, state varchar(10) character set latin1 not null) default collate utf8mb4_general_ci`,
  );
  await load(db, { mode: 'append', schema: 'evolve' }, { splits: [[row]] }, codes);
  expect(
    await db.sql(
      `select column_name as name, column_type as type, collation_name as collation, is_nullable as nullable from information_schema.columns where table_schema = database() and table_name = 'codes' and column_name <> 'id' order by 1`,
    ),
  ).toEqual([
    { name: 'code', type: 'varchar(100)', collation: 'utf8mb4_bin', nullable: 'NO' },
    { name: 'state', type: 'varchar(20)', collation: 'latin1_swedish_ci', nullable: 'YES' },
  ]);
  for (const column of [
    `id int auto_increment`,
    `code varchar(50) default 'none'`,
    `code varchar(50) comment 'of the shop'`,
    `state varchar(20) not null default ''`,
  ]) {
    const of = await server.database();
    const others = ['id bigint', 'code varchar(100)', 'state varchar(20) null'].filter((one) => one.split(' ')[0] !== column.split(' ')[0]);
    await of.sql(`create table codes (${[column, ...others].join(', ')}, primary key (id))`);
    const loading = load(of, { mode: 'append', schema: 'evolve' }, { splits: [[row]] }, codes);
    expect(await code(loading)).toMatch(/^SCHEMA_DRIFT: [\s\S]*change it by hand/);
  }
});

test('a table of another engine, a view and a key without an index are refused before anything is staged', async () => {
  const db = await server.database();
  await db.sql('create table orders (id bigint, total decimal(12,2), note longtext, updated_at timestamp(6) null) engine=MyISAM');
  expect(await code(load(db, { mode: 'append' }, { splits: [[order(1)]] }))).toMatch(/^UNSUPPORTED: .*MyISAM/);
  await db.sql('alter table orders engine=InnoDB');
  expect(await code(load(db, { mode: 'merge' }, { splits: [[order(1)]] }))).toMatch(/^SCHEMA_DRIFT: .*no unique index over id/);
});

test('a key of text and bytes has the lengths that an index holds, and what is longer is refused', async () => {
  const db = await server.database();
  const keyed = table('keyed', { a: text(), b: bytea(), n: int4() }, { key: ['a', 'b'] });
  const row = (a: string, n: number) => ({ a, b: new Uint8Array([1, 255]), n });
  await load(db, { mode: 'merge', schema: 'create' }, { splits: [[row('x', 1), row('X', 2), row('x ', 3)]] }, keyed);
  await load(db, { mode: 'merge', schema: 'create' }, { splits: [[row('x', 4)]], id: 'load-2' }, keyed);
  expect(await db.sql('select a, n from keyed order by n')).toEqual([
    { a: 'X', n: '2' },
    { a: 'x ', n: '3' },
    { a: 'x', n: '4' },
  ]);
  const long = load(db, { mode: 'merge' }, { splits: [[row('x'.repeat(1000), 5)]], id: 'load-3' }, keyed);
  expect(await code(long)).toMatch(/^TYPE_MISMATCH: .*Data truncated for column 'a' at row 1/);
});

test('what no column of MySQL holds is a problem of the plan', () => {
  const odd = table('odd', { id: json(), n: numeric() }, { key: ['id'] });
  const target = mysql({ url: 'mysql://localhost/x' }).table(odd, { mode: 'merge', schema: 'create' });
  expect(target.problems(odd).map(({ message }) => message)).toEqual([
    expect.stringMatching(/"id" of odd: an index of MySQL holds no json/),
    expect.stringMatching(/"n" of odd: numeric without a precision/),
  ]);
});

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  array,
  bool,
  bytea,
  date,
  extract,
  float4,
  float8,
  int2,
  int4,
  int8,
  json,
  jsonb,
  load,
  numeric,
  pipeline,
  table,
  text,
  time,
  timestamp,
  timestamptz,
  uuid,
  varchar,
} from '@millrace/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DynamoServer, dynamoServer } from '../../../../test/dynamo-server.ts';
import { testDatabase } from '../../../../test/postgres.ts';
import { runPipeline } from '../../../../test/run-pipeline.ts';
import { readAll } from '../../test/read.ts';
import { postgres } from '../postgres/index.ts';
import { s3 } from '../s3/index.ts';
import { dynamodb } from './index.ts';

let server: DynamoServer;
let target: Awaited<ReturnType<typeof testDatabase>>;
beforeAll(async () => {
  [server, target] = await Promise.all([dynamoServer(), testDatabase()]);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await target[Symbol.asyncDispose]();
});
const lake = s3({ url: `file:${mkdtempSync(join(tmpdir(), 'millrace-lake-'))}` });

const letters = 'zażółć 🙂 "quoted" \'single\'\n\t\\N \u2028';
/** Column, attribute, value: what is read, and what Postgres and Parquet have of it. */
const cases = {
  small: [int2().orNull(), { N: '-32768' }, -32768],
  middle: [int4().orNull(), { N: '2147483647' }, 2147483647],
  large: [int8().orNull(), { N: '-9223372036854775808' }, -9223372036854775808n],
  digits: [numeric().orNull(), { N: '12345678901234567890123456789012345678' }, '12345678901234567890123456789012345678'],
  scaled: [numeric(38, 10).orNull(), { N: '-1234567890123456789012345678.0123456789' }, '-1234567890123456789012345678.0123456789'],
  greatest: [numeric().orNull(), { N: `${'9'.repeat(38)}${'0'.repeat(88)}` }, `${'9'.repeat(38)}${'0'.repeat(88)}`],
  least: [numeric().orNull(), { N: `-0.${'0'.repeat(129)}1` }, `-0.${'0'.repeat(129)}1`],
  half: [float8().orNull(), { N: '0.1' }, 0.1],
  far: [float8().orNull(), { N: `1${'0'.repeat(125)}` }, 1e125],
  single: [float4().orNull(), { N: '0.1' }, Math.fround(0.1)],
  flag: [bool().orNull(), { BOOL: false }, false],
  bytes: [bytea().orNull(), { B: Uint8Array.from([0, 255, 16]) }, Uint8Array.from([0, 255, 16])],
  none: [bytea().orNull(), { B: new Uint8Array() }, new Uint8Array()],
  words: [text().orNull(), { S: letters }, letters],
  empty: [text().orNull(), { S: '' }, ''],
  three: [varchar(3).orNull(), { S: 'abc' }, 'abc'],
  document: [
    jsonb().orNull(),
    { M: { a: { L: [{ N: '12345678901234567890' }, { NULL: true }, { S: letters }] }, b: { SS: ['x'] } } },
    `{"a":[12345678901234567890,null,${JSON.stringify(letters)}],"b":["x"]}`,
  ],
  written: [json().orNull(), { S: '{"a" : 1.0, "a" : 2}' }, '{"a" : 1.0, "a" : 2}'],
  list: [array(text()).orNull(), { L: [{ S: 'a' }, { NULL: true }, { S: '' }] }, ['a', null, '']],
  numbers: [array(numeric()).orNull(), { NS: ['2.5'] }, ['2.5']],
  day: [date().orNull(), { S: '9999-12-31' }, '9999-12-31'],
  before: [date().orNull(), { S: '0044-03-15 BC' }, '0044-03-15 BC'],
  clock: [time().orNull(), { S: '24:00:00' }, '24:00:00.000000'],
  moment: [timestamptz().orNull(), { S: '2024-02-29T23:59:59.123456Z' }, '2024-02-29T23:59:59.123456Z'],
  local: [timestamp().orNull(), { S: '0001-01-01T00:00:00.000001' }, '0001-01-01T00:00:00.000001'],
  identity: [uuid().orNull(), { S: '123e4567-e89b-12d3-a456-426614174000' }, '123e4567-e89b-12d3-a456-426614174000'],
} as const;
const declared = Object.fromEntries(Object.entries(cases).map(([name, [column]]) => [name, column]));
const kinds = table('kinds', { id: int4(), ...declared }, { key: ['id'] });
const expected = [
  { id: 1, ...Object.fromEntries(Object.entries(cases).map(([name, [, , value]]) => [name, value])) },
  { id: 2, ...Object.fromEntries(Object.keys(cases).map((name) => [name, null])) },
];
const parsed = (rows: readonly Readonly<Record<string, unknown>>[]) =>
  [...rows]
    .sort((a, b) => Number(a['id']) - Number(b['id']))
    .map((row) => ({ ...row, document: row['document'] === null ? null : plainDocument(row['document'] as string) }));
/** Blanks and the order of names are no part of a jsonb; its digits are. */
const plainDocument = (document: string) => JSON.parse(document.replace('12345678901234567890', '"12345678901234567890"'));

test('attributes of every kind reach Postgres and Parquet to the letter, and come back as items', async () => {
  await server.create('kinds', { id: 'N' });
  await server.put(
    'kinds',
    { id: { N: '1' }, ...Object.fromEntries(Object.entries(cases).map(([name, [, attribute]]) => [name, attribute])) },
    { id: { N: '2' } },
  );
  const dynamo = dynamodb(server.settings);
  expect(parsed((await readAll(dynamo.scan(kinds))).rows)).toEqual(parsed(expected));

  const there = postgres({ url: target.url });
  const kindsThere = table('public.kinds', kinds.declared, { key: ['id'] });
  const rows = extract(dynamo.scan(kinds));
  const loaded = load(rows, there.table(kindsThere, { mode: 'merge', schema: 'create' }));
  const files = load(rows, lake.parquet({ prefix: 'kinds/' }));
  await runPipeline(pipeline({ name: 'types', steps: { rows, loaded, files } }));
  expect(parsed((await readAll(there.selection(kindsThere))).rows)).toEqual(parsed(expected));
  expect(parsed((await readAll(lake.dataset('kinds/', kindsThere))).rows)).toEqual(parsed(expected));

  await server.create('copied', { id: 'N' });
  const copied = table('copied', kinds.declared, { key: ['id'] });
  const back = extract(there.selection(kindsThere));
  await runPipeline(pipeline({ name: 'back', steps: { back, items: load(back, dynamo.items(copied)) } }));
  expect(parsed((await readAll(dynamo.scan(copied))).rows)).toEqual(parsed(expected));
});

test.each([
  ['too large for its type', int2(), { N: '32768' }],
  ['no whole number', int8(), { N: '1.5' }],
  ['more digits than a float has', float8(), { N: '0.1000000000000000000001' }],
  ['of another kind', int8(), { S: '1' }],
  ['too long', varchar(3), { S: 'abcd' }],
  ['bytes in a document', jsonb(), { M: { a: { B: Uint8Array.from([1]) } } }],
  ['a text with a NUL', text(), { S: 'a\0b' }],
  ['no date', date(), { S: '2024-02-30' }],
] as const)('%s: refused by the column', async (what, column, attribute) => {
  const name = `refused-${what.replaceAll(' ', '-')}`;
  await server.create(name, { id: 'N' });
  await server.put(name, { id: { N: '1' }, v: attribute });
  await expect(readAll(dynamodb(server.settings).scan(table(name, { id: int4(), v: column })))).rejects.toThrow(/"v"/);
});

test('columns with names of JavaScript itself are columns, but for one, which is refused', async () => {
  await server.create('names', { id: 'N' });
  const names = table('names', { id: int4(), constructor: text().orNull(), toString: text().orNull() }, { key: ['id'] });
  const dynamo = dynamodb(server.settings);
  const there = postgres({ url: target.url });
  await target.sql('create table names (id int primary key, constructor text, "toString" text, "__proto__" text)');
  await target.sql(`insert into names values (1, 'c', 's', 'p'), (2, null, null, null)`);
  const move = (of: typeof names) => {
    const rows = extract(there.selection(table('public.names', of.declared, { key: ['id'] })));
    return runPipeline(pipeline({ name: 'names', steps: { rows, items: load(rows, dynamo.items(of)) } }));
  };
  await move(names);
  const { rows: read } = await readAll(dynamo.scan(names));
  expect([...read].sort((a, b) => Number(a['id']) - Number(b['id']))).toEqual([
    { id: 1, constructor: 'c', toString: 's' },
    { id: 2, constructor: null, toString: null },
  ]);
  const proto = table('names', { ...names.declared, ['__proto__']: text().orNull() }, { key: ['id'] });
  await expect(move(proto as never)).rejects.toThrow(/"__proto__"/);
  await expect(readAll(dynamo.scan(proto))).rejects.toThrow(/"__proto__"/);
});

test('keys that are one number in two texts are one item, the last one', async () => {
  await server.create('priced', { price: 'N' });
  const priced = table('priced', { price: numeric(), note: text() }, { key: ['price'] });
  await target.sql(
    `create table priced (price numeric not null, note text not null); insert into priced select * from (values (1.0::numeric, 'a'), (1.00, 'b'), (10, 'c'), (10.0, 'd')) v (price, note)`,
  );
  const there = postgres({ url: target.url });
  for (const stamp of [true, false]) {
    const rows = extract(there.selection(table('public.priced', priced.declared)));
    const items = dynamodb(server.settings).items(priced, stamp ? {} : { stamp: false });
    await runPipeline(pipeline({ name: `priced-${stamp}`, steps: { rows, items: load(rows, items) } }));
    const notes = (await server.items('priced')).map(({ note }) => note?.S).sort();
    expect(notes).toEqual(['b', 'd']);
  }
});

test('a document that is deeper than an item can be is refused by its column', async () => {
  await server.create('deep', { id: 'N' });
  const deep = table('deep', { id: int4(), v: jsonb() }, { key: ['id'] });
  const there = postgres({ url: target.url });
  for (const levels of [32, 33, 5_000]) {
    await target.sql(`create table deep_${levels} (id int primary key, v jsonb not null)`);
    await target.sql(`insert into deep_${levels} values (1, (repeat('[', ${levels}) || repeat(']', ${levels}))::jsonb)`);
    const rows = extract(there.selection(table(`public.deep_${levels}`, deep.declared)));
    const work = runPipeline(
      pipeline({ name: `deep-${levels}`, steps: { rows, items: load(rows, dynamodb(server.settings).items(deep)) } }),
    );
    if (levels === 32) await work;
    else await expect(work).rejects.toThrow(/"v".*nested deeper/s);
  }
});

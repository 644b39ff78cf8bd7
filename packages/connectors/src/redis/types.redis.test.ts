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
  interval,
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
  timetz,
  uuid,
  varchar,
} from '@millrace/core';
import { type Selection, typeName } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { type RedisServer, redisServer } from '../../../../test/redis-server.ts';
import { runPipeline } from '../../../../test/run-pipeline.ts';
import { readAll } from '../../test/read.ts';
import { postgres } from '../postgres/index.ts';
import { s3 } from '../s3/index.ts';
import { redis } from './index.ts';

let server: RedisServer;
let database: Awaited<ReturnType<typeof testDatabase>>;
beforeAll(async () => {
  [server, database] = await Promise.all([redisServer(), testDatabase()]);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const letters = `zażółć 🙂 "quoted" {braces} % : \\ \u2028`;
/** Column and literal; `edge`: Parquet has no such value. */
const cases = {
  flag: [bool(), 'false'],
  small: [int2(), '-32768'],
  middle: [int4(), '2147483647'],
  large: [int8(), '-9223372036854775808'],
  single: [float4(), "'3.4028235e38'"],
  least: [float8(), "'5e-324'"],
  none: [float8(), "'NaN'"],
  below: [float8(), "'-0'"],
  endless: [float8(), "'-Infinity'"],
  digits: [numeric(), `'${'9'.repeat(50)}.${'0'.repeat(9)}1'`],
  scaled: [numeric(38, 10), "'-0.5'"],
  words: [text(), `'${letters}'`],
  empty: [text(), "''"],
  lines: [text(), "E'a\\r\\n\\tb\\u0001'"],
  short: [varchar(3), "'a '"],
  bytes: [bytea(), "'\\x00ff0d0a'"],
  document: [jsonb(), `'{"a": [12345678901234567890.10, null, "}"]}'`],
  nothing: [jsonb(), "'null'"],
  written: [json(), `'{"a" : 1.0, "a" : 2}'`],
  list: [array(text()), `ARRAY['a', NULL, 'NULL', '{,"}']`],
  day: [date(), "'9999-12-31'"],
  before: [date(), "'4713-01-01 BC'"],
  far: [date(), "'5874897-12-31'"],
  clock: [time(), "'24:00:00'"],
  zoned: [timetz(), "'23:59:59.999999-15:59'"],
  moment: [timestamptz(), "'0001-01-01 00:00:00.000001+00'"],
  local: [timestamp(), "'2024-03-31 02:30:00'"],
  old: [timestamp(), "'0044-03-15 12:00:00 BC'"],
  span: [interval(), "'-1 mon 3 days -04:05:06.789'"],
  identity: [uuid(), "'123e4567-e89b-12d3-a456-426614174000'"],
} as const;
const edges = {
  ever: [date(), "'infinity'"],
  never: [timestamp(), "'-infinity'"],
  always: [timestamptz(), "'infinity'"],
  late: [timestamptz(), "'294276-12-31 23:59:59.999999+00'"],
} as const;

const lake = s3({ url: `file:${mkdtempSync(join(tmpdir(), 'millrace-lake-'))}` });
const byId = (rows: readonly Readonly<Record<string, unknown>>[]) => [...rows].sort((a, b) => Number(a['id']) - Number(b['id']));

describe.each(['hash', 'json'] as const)('rows as %s', (as) => {
  test.each([
    ['values of every type', 'every', cases],
    ['ends of time', 'ends', edges],
  ] as const)('%s are kept to the letter, and go on to Postgres and to Parquet', async (_what, kind, columns) => {
    const name = `${as}_${kind}`;
    const declared = Object.fromEntries(Object.entries(columns).map(([column, [of]]) => [column, of.orNull()]));
    const kinds = (of: string) => table(`public.${of}`, { id: int4(), ...declared }, { key: ['id'] });
    const ddl = Object.entries(columns).map(([column, [{ type }]]) => `${column} ${typeName(type)}`);
    await database.sql(`create table ${name} (id int primary key, ${ddl.join(', ')})`);
    await database.sql(
      `insert into ${name} values (1, ${Object.values(columns)
        .map(([, literal]) => literal)
        .join(', ')})`,
    );
    await database.sql(`insert into ${name} (id) values (2)`);
    const there = postgres({ url: database.url });
    const source = there.selection(kinds(name));
    const keys = redis({ url: server.url }).keys({ key: `${name}:<id>`, as, mode: 'replace' });
    const rows = extract(source);
    await runPipeline(pipeline({ name: 'into', steps: { rows, kept: load(rows, keys as never) } }));

    const kept = keys.stored?.(kinds(name) as never) as Selection<never>;
    const expected = byId((await readAll(source)).rows);
    expect(byId((await readAll(kept)).rows)).toEqual(expected);

    const back = extract(kept);
    const loaded = load(back, there.table(kinds(`${name}_back`) as never, { mode: 'append', schema: 'create' }));
    await runPipeline(pipeline({ name: 'back', steps: { back, loaded } }));
    const printed = (of: string) => database.sql(`select t::text as row from ${of} t order by id`);
    expect(await printed(`${name}_back`)).toEqual(await printed(name));

    const files = pipeline({ name: 'files', steps: { back, files: load(back, lake.parquet({ prefix: `${name}/` })) } });
    if (kind === 'ends') return expect(runPipeline(files)).rejects.toThrow(/Column "(ever|never|always|late)"/);
    await runPipeline(files);
    expect(byId((await readAll(lake.dataset(`${name}/`, kinds(name)))).rows)).toEqual(expected);
  });
});

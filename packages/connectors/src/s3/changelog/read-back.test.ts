import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { date, int8, numeric, table, text } from '@millrace/core';
import {
  type ChangeSink,
  type ChangeTarget,
  type Context,
  isMillraceError,
  type SchemaPolicy,
  type SinkStream,
} from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Change, groupOf, positionAt, streamOf } from '../../../test/hand-made.ts';
import { batches, split, testContext } from '../../../test/load.ts';
import { readAll } from '../../../test/read.ts';
import { changesOf, listManifests, openDataset, s3 } from '../index.ts';

const orders = table('public.orders', { id: int8(), note: text().orNull() }, { key: ['id'] });
const customers = table('public.customers', { id: int8(), name: text() }, { key: ['id'] });
const tables = { orders, customers };
const policy: SchemaPolicy = { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' };
const stream: SinkStream = { owner: { pipeline: 'shop', step: 'log' }, pipelineRun: 'run-1', tables, policy };

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-log-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));
let made = 0;
const place = () => `${home}/lake${++made}`;
const contextOf = (more: Partial<Context> = {}) =>
  testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')), memoryBudget: 256 * 1024 * 1024, ...more });
const fence = (epoch: number) => ({ key: 'shop/log', epoch });

async function following(target: ChangeTarget<never>, more: Partial<Context> = {}, of: SinkStream = stream): Promise<ChangeSink> {
  const sink = await target.open(contextOf(more));
  await sink.begin(of, fence(1));
  await sink.follow(streamOf(), positionAt(16));
  return sink;
}

const code = (work: Promise<unknown>) =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (isMillraceError(error) ? error.code : String(error)),
  );
const inserted = (id: bigint, note: string | null = null): Change => ({ op: 'insert', table: 'orders', row: { id, note } });
const manifests = async (url: string) => listManifests(await openDataset(url, {}, contextOf()));

test.for(['jsonl', 'csv', 'parquet'] as const)(
  'a table of a change log is read by its manifests, also where columns came later (%s)',
  async (format) => {
    const url = place();
    const lake = s3({ url: `file:${url}` });
    await using sink = await following(lake.changelog({ prefix: 'log', format }));
    await sink.apply(groupOf(tables, [{ at: 20, changes: [inserted(1n, 'a "note",\nin two lines'), inserted(2n)] }]));
    await sink.flush();
    const wider = table('public.orders', { ...orders.declared, extra: text().orNull() }, { key: ['id'] });
    const extra = { name: 'extra', type: { kind: 'text' }, nullable: true } as const;
    const added: Change = { op: 'schema', table: 'orders', schema: wider, changes: [{ change: 'add', column: extra, fill: null }] };
    const row = { id: 3n, note: 'three', extra: 'more' };
    await sink.apply(groupOf(tables, [{ at: 22, changes: [inserted(9n), added, { op: 'insert', table: 'orders', row }] }]));
    await sink.flush();
    const { rows } = await readAll(lake.dataset('log', changesOf(wider), { table: 'orders' }), {}, contextOf());
    expect(rows.map(({ _op, _ordinal, id, note, extra: more }) => [_op, _ordinal, id, note, more])).toEqual([
      ['insert', 0n, 1n, 'a "note",\nin two lines', null],
      ['insert', 1n, 2n, null, null],
      ['insert', 0n, 9n, null, null],
      ['insert', 2n, 3n, 'three', 'more'],
    ]);
    expect(await readAll(lake.dataset('log', changesOf(customers), { table: 'customers' }), {}, contextOf())).toMatchObject({ rows: [] });
    expect(await code(readAll(lake.dataset('log', orders), {}, contextOf()))).toBe('UNSUPPORTED');
    const schemas = (await manifests(`file:${url}/log`)).flatMap(({ files, schemas = [] }) =>
      files.map(({ log }) => schemas[log!.schema]?.columns.map(({ name }) => name).filter((name) => !name.startsWith('_'))),
    );
    expect(schemas).toEqual([
      ['id', 'note'],
      ['id', 'note'],
      ['id', 'note', 'extra'],
    ]);
  },
);

/** The rows that a log leaves, for a key of one column, where large values do not move with a row that gets another key. */
const currentRows = `
  WITH log AS (
    SELECT *, row(_position, _ordinal) AS place FROM read_json($1, format = 'newline_delimited', columns = {
      _op: 'VARCHAR', _position: 'VARCHAR', _ordinal: 'BIGINT', _unchanged: 'VARCHAR', _before: 'VARCHAR', id: 'BIGINT', note: 'VARCHAR', total: 'DECIMAL(12,2)'})
  ), emptied AS (
    SELECT max(place) AS place FROM log WHERE _op = 'truncate'
  ), changes AS (
    SELECT id, _op, place, _unchanged, note, total FROM log WHERE _op <> 'truncate'
    UNION ALL  -- a row that got another key is gone under the old one
    SELECT (_before ->> 'id')::BIGINT, 'delete', place, NULL, NULL, NULL FROM log WHERE _op = 'update' AND (_before ->> 'id')::BIGINT <> id
  )
  SELECT id,
    arg_max_null(note, place) FILTER (coalesce(NOT list_contains(from_json(_unchanged, '["VARCHAR"]'), 'note'), true)) AS note,
    arg_max_null(total, place)::VARCHAR AS total
  FROM changes
  WHERE place > (SELECT coalesce(place, row('', -9223372036854775808)) FROM emptied)
  GROUP BY id HAVING arg_max(_op, place) <> 'delete' ORDER BY id`;

test('the rows as they are now come out of a log by one statement', async () => {
  const url = place();
  const sales = table('sales', { id: int8(), note: text().orNull(), total: numeric(12, 2), day: date() }, { key: ['id'] });
  const target = s3({ url: `file:${url}` }).changelog({ prefix: 'log', compression: 'none' });
  await using sink = await following(target, {}, { ...stream, tables: { sales } });
  const row = (id: bigint, note: string | null, total = '1.00') => ({ id, note, total, day: '2026-01-01' });
  await using copy = await sink.copy('sales', 'fresh', positionAt(16));
  await copy.stage(split(0), batches(sales, [row(1n, 'one'), row(2n, 'two'), row(3n, 'three'), row(4n, null)]));
  await copy.finish(positionAt(16));
  const put = (id: bigint, note: string, total: string): Change => ({
    op: 'update',
    table: 'sales',
    row: row(id, note, total),
    unchanged: ['note'],
  });
  const changes: Change[] = [
    put(1n, '', '2.00'),
    put(1n, '', '3.00'),
    { op: 'delete', table: 'sales', old: { id: 2n } },
    { op: 'insert', table: 'sales', row: row(2n, null, '4.00') },
    { op: 'update', table: 'sales', row: row(30n, 'thirty', '5.00'), old: { id: 3n } },
    { op: 'delete', table: 'sales', old: { id: 4n } },
  ];
  await sink.apply(groupOf({ sales }, [{ at: 20, changes }]));
  await sink.flush();
  const database = await (await DuckDBInstance.create()).connect();
  const now = async () => (await database.runAndReadAll(currentRows, [`${url}/log/sales/*.jsonl`])).getRowsJson();
  expect(await now()).toEqual([
    ['1', 'one', '3.00'],
    ['2', null, '4.00'],
    ['30', 'thirty', '5.00'],
  ]);
  const last: Change[] = [
    { op: 'truncate', tables: ['sales'] },
    { op: 'insert', table: 'sales', row: row(5n, 'five') },
  ];
  await sink.apply(groupOf({ sales }, [{ at: 22, changes: last }]));
  await sink.flush();
  expect(await now()).toEqual([['5', 'five', '1.00']]);
  database.closeSync();
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { array, bool, bytea, date, int4, int8, json, numeric, table, text, time, uuid } from '@millrace/core';
import { isMillraceError } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { copyFiles, fact, stageFiles } from '../../test/copy-once.ts';
import { testContext } from '../../test/load.ts';
import { redshift } from './index.ts';

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-redshift-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));
let lakes = 0;
const newLake = () => `file:${home}/lake${++lakes}`;

const rows = async (db: TestDatabase) =>
  (await db.sql('select id, total, note from analytics.facts order by id, total')).map((row) => Object.values(row).join(' '));
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (isMillraceError(error) ? error.code : String(error)),
  );

test.for(['parquet', 'csv', 'jsonl'] as const)('files are merged by key: inserted, updated, left alone (%s)', async (format) => {
  await using db = await testDatabase();
  const lake = newLake();
  const options = { mode: 'merge', schema: 'create' } as const;
  const first = await stageFiles(lake, [fact(1), fact(2, '2.00', 'two'), fact(3, '3.00', '')], { id: 'f1', format });
  const one = await copyFiles({ url: db.url, files: first, options, id: 'c1' });
  expect(one).toMatchObject({ rows: 3, changed: { inserted: 3, updated: 0, unchanged: 0 }, checkpoint: { manifest: first.manifest } });
  const before = await db.sql('select id, xmin::text from analytics.facts where id < 3 order by id');
  const second = await stageFiles(lake, [fact(1), fact(2, '2.00', 'two'), fact(3, '3.50', null), fact(4)], { id: 'f2', format });
  const two = await copyFiles({ url: db.url, files: second, options, id: 'c2' });
  expect(two.changed).toEqual({ inserted: 1, updated: 1, unchanged: 2 });
  expect(await rows(db)).toEqual(['1 1.00 ', '2 2.00 two', '3 3.50 ', '4 1.00 ']);
  expect(await db.sql('select id, xmin::text from analytics.facts where id < 3 order by id')).toEqual(before);
  expect(await db.sql('select distinct extra, seen from analytics.facts')).toEqual([
    { extra: { a: 1 }, seen: new Date('2026-03-01T00:00:00Z') },
  ]);
});

test('every manifest that was not applied is, in order, whichever run comes', async () => {
  await using db = await testDatabase();
  const lake = newLake();
  const options = { mode: 'merge', schema: 'create' } as const;
  await stageFiles(lake, [fact(1, '1.00', 'first')], { id: 'f1' });
  const second = await stageFiles(lake, [fact(1, '1.00', 'second'), fact(2)], { id: 'f2' });
  const third = await stageFiles(lake, [fact(1, '1.00', 'third'), fact(3)], { id: 'f3' });
  const receipt = await copyFiles({ url: db.url, files: second, options, id: 'c2' });
  expect(receipt).toMatchObject({ rows: 5, checkpoint: { manifest: third.manifest } });
  expect(await rows(db)).toEqual(['1 1.00 third', '2 1.00 ', '3 1.00 ']);
  // The run of the third finds its files applied, and does not move the checkpoint back.
  expect(await copyFiles({ url: db.url, files: third, options, id: 'c3' })).toMatchObject({
    rows: 0,
    checkpoint: { manifest: third.manifest },
  });
  expect(await copyFiles({ url: db.url, files: second, options, id: 'c2', epoch: 2 })).toEqual(receipt);
});

test('the latest cursor wins over the order of the files', async () => {
  await using db = await testDatabase();
  const lake = newLake();
  await stageFiles(lake, [fact(1, '2.00', 'newer', '09')], { id: 'f1', window: { column: 'seen', low: null, high: 'b' } });
  const files = await stageFiles(lake, [fact(1, '1.00', 'older', '05')], { id: 'f2', window: { column: 'seen', low: 'b', high: 'c' } });
  await copyFiles({ url: db.url, files, options: { mode: 'merge', schema: 'create' }, id: 'c' });
  expect(await rows(db)).toEqual(['1 2.00 newer']);
});

test('append adds each file once, and a full refresh starts over', async () => {
  await using db = await testDatabase();
  const lake = newLake();
  const options = { mode: 'append', schema: 'create' } as const;
  const files = await stageFiles(lake, [fact(1), fact(2)], { id: 'f1' });
  await copyFiles({ url: db.url, files, options, id: 'c1' });
  await copyFiles({ url: db.url, files, options, id: 'c1', epoch: 2 });
  await copyFiles({ url: db.url, files, options, id: 'c1 again', key: 'again' });
  expect(await rows(db)).toHaveLength(2);
  const all = await stageFiles(lake, [fact(1), fact(2), fact(3)], { id: 'f2', mode: 'replace' });
  await copyFiles({ url: db.url, files: all, options, id: 'c2', key: 'all', fullRefresh: true });
  expect(await rows(db)).toHaveLength(3);
});

test('replace makes the table what the dataset is', async () => {
  await using db = await testDatabase();
  const lake = newLake();
  const options = { mode: 'replace', schema: 'create' } as const;
  await copyFiles({ url: db.url, files: await stageFiles(lake, [fact(1), fact(2)], { id: 'f1', mode: 'replace' }), options, id: 'c1' });
  const receipt = await copyFiles({
    url: db.url,
    files: await stageFiles(lake, [fact(3)], { id: 'f2', mode: 'replace' }),
    options,
    id: 'c2',
  });
  expect(receipt.changed).toEqual({ inserted: 1, deleted: 2 });
  expect(await rows(db)).toEqual(['3 1.00 ']);
});

test('history keeps versions by the time of the run', async () => {
  await using db = await testDatabase();
  const lake = newLake();
  const options = { mode: 'history', schema: 'create', history: { deletes: 'close' } } as const;
  const at = async (day: string, list: ReturnType<typeof fact>[], id = day) =>
    copyFiles({
      url: db.url,
      files: await stageFiles(lake, list, { id: `f${id}`, mode: 'replace' }),
      options,
      id,
      logicalTime: `2026-03-${day}T00:00:00.000Z`,
    });
  await at('01', [fact(1), fact(2)]);
  await at('02', [fact(1), fact(2, '2.00')]);
  await at('02', [fact(1), fact(2, '2.50')], '02b');
  await at('03', [fact(2, '2.50'), fact(3)]);
  const versions = await db.sql(
    `select id, total, to_char(valid_from, 'DD') f, to_char(valid_to, 'DD') t, is_current c from analytics.facts order by id, valid_from`,
  );
  expect(versions.map((row) => `${row['id']} ${row['total']} ${row['f']}-${row['t'] ?? ''} ${row['c']}`)).toEqual([
    '1 1.00 01-03 false',
    '2 1.00 01-02 false',
    '2 2.50 02- true',
    '3 1.00 03- true',
  ]);
  expect(await code(at('02', [fact(3, '9.00')], '02c'))).toBe('CHECKPOINT_MOVED');
});

test('every type goes through Parquet into the warehouse', async () => {
  await using db = await testDatabase();
  const lake = newLake();
  const wide = table(
    'wide',
    {
      id: int4(),
      b: bool(),
      n: numeric(38, 10),
      raw: bytea(),
      u: uuid(),
      tags: array(text()),
      j: json().orNull(),
      d: date(),
      t: time(),
      big: int8(),
    },
    { key: ['id'] },
  );
  const row = {
    id: 1,
    b: false,
    n: '1234567890123456789012345678.0123456789',
    raw: Buffer.from([0, 1, 255]),
    u: '00000000-0000-0000-0000-0000000000ff',
    tags: ['a,"b"', null],
    j: '{"x" : 1}',
    d: '2024-02-29',
    t: '23:59:59.123456',
    big: -(2n ** 63n),
  };
  for (const mode of ['merge', 'append'] as const) {
    const declared = mode === 'merge' ? wide : table('wide2', wide.declared, { key: ['id'] });
    const files = await stageFiles(newLake(), [row], { id: 'f', declared });
    for (const id of ['c', 'd'])
      await copyFiles({ url: db.url, files, options: { mode, schema: 'create' }, id: id + mode, key: mode }, declared);
    expect(await db.sql(`select id, b, n, raw::text, u, tags, j::text, d::text, t::text, big from ${declared.name}`)).toEqual([
      { id: 1, b: false, n: row.n, raw: '\\x0001ff', u: row.u, tags: row.tags, j: row.j, d: row.d, t: row.t, big: '-9223372036854775808' },
    ]);
    await db.sql('delete from _millrace.checkpoint');
  }
  expect(lake).toBeTruthy();
});

test('files that somebody has changed are not loaded', async () => {
  await using db = await testDatabase();
  const lake = newLake();
  const files = await stageFiles(lake, [fact(1)], { id: 'f1', format: 'csv' });
  const { filesOf } = await import('../s3/index.ts');
  const {
    files: [file],
  } = await filesOf(files, {}, testContext());
  const { appendFileSync } = await import('node:fs');
  appendFileSync(fileURLToPath(file!.url), 'x');
  expect(await code(copyFiles({ url: db.url, files, options: { mode: 'append', schema: 'create' }, id: 'c' }))).toMatch(
    /MANIFEST_MISMATCH|FILE_CORRUPT/,
  );
  expect(await rows(db)).toEqual([]);
});

test('an older attempt is refused, and of two runs at once each file is applied once', async () => {
  await using db = await testDatabase();
  const lake = newLake();
  const options = { mode: 'append', schema: 'create' } as const;
  const files = await stageFiles(lake, [fact(1)], { id: 'f1' });
  await copyFiles({ url: db.url, files, options, id: 'c1', epoch: 3 });
  expect(await code(copyFiles({ url: db.url, files, options, id: 'c0', epoch: 2 }))).toBe('ATTEMPT_FENCED');
  const more = await stageFiles(lake, [fact(2), fact(3)], { id: 'f2' });
  const outcomes = await Promise.all(['x', 'y'].map((id) => code(copyFiles({ url: db.url, files: more, options, id, key: id }))));
  expect(outcomes.filter((one) => one !== 'nothing was thrown' && one !== 'LOAD_CONFLICT')).toEqual([]);
  expect(await rows(db)).toHaveLength(3);
});

test('a prefix that was cleared and filled anew is not taken for the dataset it was', async () => {
  await using db = await testDatabase();
  const lake = newLake();
  const options = { mode: 'append', schema: 'create' } as const;
  await stageFiles(lake, [fact(1)], { id: 'f1' });
  await copyFiles({ url: db.url, files: await stageFiles(lake, [fact(2)], { id: 'f2' }), options, id: 'c1' });
  rmSync(fileURLToPath(new URL(`${lake.replace('file:', 'file://')}/`)), { recursive: true });
  const anew = await stageFiles(lake, [fact(3)], { id: 'g1' });
  expect(await code(copyFiles({ url: db.url, files: anew, options, id: 'c2', key: 'c2' }))).toBe('MANIFEST_MISMATCH');
  const more = await stageFiles(lake, [fact(4)], { id: 'g2' });
  expect(await code(copyFiles({ url: db.url, files: more, options, id: 'c3', key: 'c3' }))).toBe('MANIFEST_MISMATCH');
  await copyFiles({ url: db.url, files: more, options, id: 'c4', key: 'c4', fullRefresh: true });
  expect(await rows(db)).toEqual(['3 1.00 ', '4 1.00 ']);
});

test('a key that is NULL is refused', async () => {
  await using db = await testDatabase();
  const loose = table('analytics.facts', { id: int8().orNull(), total: numeric(12, 2) });
  await db.sql('create schema analytics; create table analytics.facts (id int8, total numeric(12,2))');
  const files = await stageFiles(newLake(), [{ id: null, total: '1.00' }], { id: 'f', declared: loose });
  const keyed = table('analytics.facts', { id: int8(), total: numeric(12, 2) }, { key: ['id'] });
  expect(await code(copyFiles({ url: db.url, files, options: { mode: 'merge' }, id: 'c' }, keyed))).toBe('TYPE_MISMATCH');
});

test('the warehouse runs SQL and procedures once', async () => {
  await using db = await testDatabase();
  await db.sql('create table said (n int4); create procedure say(n int4) language sql as $$ insert into said values (n) $$');
  const runner = redshift({ url: db.url }).sql();
  const request = (epoch: number) => ({
    id: 'p',
    fence: { key: 'k', epoch },
    statements: [{ text: 'call say($1)', values: [7] }],
    transaction: true,
  });
  expect(await runner.execute(request(1), testContext())).toMatchObject({ alreadyDone: false });
  expect(await runner.execute(request(2), testContext())).toMatchObject({ alreadyDone: true });
  expect(await db.sql('select n from said')).toEqual([{ n: 7 }]);
  expect((await redshift({ url: db.url }).examine(testContext())).map(({ level }) => level)).toEqual(['ok', 'ok']);
});

import { int4, int8, table, text, varchar } from '@millrace/core';
import type { RejectedRow } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { loadRows } from '../../../test/load.ts';
import { tableTarget } from './table-target.ts';

/** As loose as a declaration can be, so that only the table knows better. */
const events = table(
  'events',
  { id: int8(), kind: text().orNull(), size: int4().orNull(), grp: int8().orNull(), word: text().orNull() },
  { key: ['id'] },
);

async function strictTable(db: TestDatabase): Promise<void> {
  await db.sql(`create table groups (id int8 primary key); insert into groups values (1);
    create table events (id int8 primary key, kind text, size int4 check (size < 100), grp int8 references groups, word text check (length(word) <= 3))`);
}

const good = (id: number) => ({ id: BigInt(id), kind: 'k', size: 1, grp: 1n, word: 'abc' });
const bad: Record<number, object> = {
  3: { size: 100 },
  4: { grp: 2n },
  9: { word: 'abcd' },
  10: { grp: 7n, kind: null },
  17: { size: 2 ** 31 - 1 },
};
const rows = Array.from({ length: 20 }, (_, id) => ({ ...good(id), ...bad[id] }));

test.for([
  ['append', false],
  ['append', true],
  ['merge', false],
  ['merge', true],
  ['replace', false],
  ['history', false],
] as const)('%s (parallel: %s): rows that the table refuses are set aside, the others are loaded', async ([mode, parallel]) => {
  await using db = await testDatabase();
  await strictTable(db);
  if (mode === 'history')
    await db.sql('alter table events add valid_from timestamptz not null, add valid_to timestamptz, add is_current bool not null');
  const rejected: RejectedRow[] = [];
  const target = tableTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, events, { mode });
  const receipt = await loadRows(target, {
    parallel,
    splits: [rows.slice(0, 10), rows.slice(10)],
    each: 8,
    reject: (row) => void rejected.push(row),
  });
  expect(receipt.rows).toBe(15);
  const found = rejected
    .map((row) => ({ place: `${row.split}:${row.ordinal}`, id: JSON.parse(row.row).id }))
    .sort((a, b) => Number(a.id) - Number(b.id));
  expect(found).toEqual([
    { place: 's0:3', id: '3' },
    { place: 's0:4', id: '4' },
    { place: 's0:9', id: '9' },
    { place: 's1:0', id: '10' },
    { place: 's1:7', id: '17' },
  ]);
  expect(rejected.every(({ error }) => (error as { code?: string }).code === 'TYPE_MISMATCH')).toBe(true);
  expect(await db.sql('select count(*)::int as n from events')).toEqual([{ n: 15 }]);
});

test('an append sets aside a row whose key is taken, in the load or in the table', async () => {
  await using db = await testDatabase();
  await strictTable(db);
  await db.sql('insert into events (id) values (5)');
  const rejected: number[] = [];
  const target = tableTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, events, { mode: 'append' });
  await loadRows(target, { splits: [[good(1), good(5), good(2), good(1), good(3)]], reject: ({ ordinal }) => void rejected.push(ordinal) });
  expect(rejected).toEqual([1, 3]);
  expect(await db.sql('select count(*)::int as n from events')).toEqual([{ n: 4 }]);
});

test('one bad row in many costs a few more copies, not one for each row', async () => {
  await using db = await testDatabase();
  await strictTable(db);
  const target = tableTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, events, { mode: 'append' });
  const many = Array.from({ length: 20_000 }, (_, id) => ({
    ...good(id),
    ...(id % 5_000 === 77 && { size: 500 }),
    ...(id % 5_000 === 78 && { grp: 9n }),
  }));
  const rejected: number[] = [];
  const started = performance.now();
  const receipt = await loadRows(target, { splits: [many], each: 10_000, reject: ({ ordinal }) => void rejected.push(ordinal) });
  expect(receipt.rows).toBe(19_992);
  expect(rejected.sort((a, b) => a - b)).toEqual([77, 78, 5_077, 5_078, 10_077, 10_078, 15_077, 15_078]);
  expect(performance.now() - started).toBeLessThan(10_000);
});

test('without a quarantine the first bad row fails the load, and nothing is there', async () => {
  await using db = await testDatabase();
  await strictTable(db);
  const target = tableTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, events, { mode: 'append' });
  await expect(loadRows(target, { splits: [rows] })).rejects.toMatchObject({ code: 'TYPE_MISMATCH' });
  expect(await db.sql('select count(*)::int as n from events')).toEqual([{ n: 0 }]);
});

test('a reject that throws stops the load', async () => {
  await using db = await testDatabase();
  await strictTable(db);
  const target = tableTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, events, { mode: 'merge' });
  const stop = () => {
    throw new Error('too many');
  };
  await expect(loadRows(target, { splits: [rows], reject: stop })).rejects.toThrow('too many');
  expect(await db.sql('select count(*)::int as n from events')).toEqual([{ n: 0 }]);
});

test('a text that is too long for its column is refused, never cut', async () => {
  await using db = await testDatabase();
  await db.sql('create table words (id int4 primary key, word varchar(3))');
  const declared = table('words', { id: int4(), word: varchar(3).orNull() }, { key: ['id'] });
  const wide = {
    columns: [
      { name: 'id', type: { kind: 'int8' }, nullable: false },
      { name: 'word', type: { kind: 'text' }, nullable: true },
    ],
  } as const;
  for (const mode of ['append', 'merge'] as const) {
    const target = tableTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, declared, { mode });
    await expect(loadRows(target, { id: mode, schema: wide, splits: [[{ id: 1n, word: 'abcd' }]] })).rejects.toMatchObject({
      code: 'TYPE_MISMATCH',
    });
  }
  expect(await db.sql('select * from words')).toEqual([]);
});

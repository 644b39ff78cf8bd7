import { int4, int8, range, table, text } from '@millrace/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { brief, changesOf } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';

const notes = table('notes', { id: int4(), short: text().orNull(), long: text().orNull() }, { key: ['id'] });

describe.for([14, 18] as const)('version %i', (version) => {
  let server: LogicalServer;
  beforeAll(async () => {
    server = await logicalServer({ version });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  async function notebook(identity = 'default'): Promise<TestDatabase> {
    const database = await server.database();
    await database.sql(`create table notes (id int4 not null, short text, long text); alter table notes alter long set storage external;
      create unique index notes_key on notes (id); alter table notes add primary key using index notes_key`);
    if (identity !== 'default') await database.sql(`alter table notes replica identity ${identity}`);
    return database;
  }
  const changes = async (database: TestDatabase, ...statements: string[]): Promise<unknown[]> =>
    brief(
      (
        await changesOf(postgres({ url: database.url }).capture({ notes }), testContext(), async () => {
          for (const statement of statements) await database.sql(statement);
        })
      ).changes,
    );
  const long = 'x'.repeat(5000);
  const made = `insert into notes values (1, 'a', repeat('x', 5000))`;

  test('a long value that an update leaves as it was is unchanged, which is not NULL, in the group of its insert too', async () => {
    await using database = await notebook();
    expect(
      await changes(database, made, `update notes set short = 'b'`, `update notes set long = null`, `update notes set short = 'c'`),
    ).toEqual([
      { op: 'insert', table: 'notes', row: { id: 1, short: 'a', long } },
      { op: 'update', table: 'notes', row: { id: 1, short: 'b' } },
      { op: 'update', table: 'notes', row: { id: 1, short: 'b', long: null } },
      { op: 'update', table: 'notes', row: { id: 1, short: 'c', long: null } },
    ]);
  });

  test('REPLICA IDENTITY FULL brings the whole row before, and with it the long values that did not change', async () => {
    await using database = await notebook('full');
    expect(await changes(database, made, `update notes set short = 'b'`, 'update notes set id = 2', 'delete from notes')).toEqual([
      { op: 'insert', table: 'notes', row: { id: 1, short: 'a', long } },
      { op: 'update', table: 'notes', row: { id: 1, short: 'b', long }, old: { id: 1, short: 'a', long }, before: 'row' },
      { op: 'update', table: 'notes', row: { id: 2, short: 'b', long }, old: { id: 1, short: 'b', long }, before: 'row' },
      { op: 'delete', table: 'notes', row: { id: 2, short: 'b', long }, old: { id: 2, short: 'b', long }, before: 'row' },
    ]);
  });

  test('an update of the key brings the key before, by the primary key or by another index', async () => {
    for (const identity of ['default', 'using index notes_key']) {
      await using database = await notebook(identity);
      expect(await changes(database, made, 'update notes set id = 2', 'delete from notes')).toEqual([
        { op: 'insert', table: 'notes', row: { id: 1, short: 'a', long } },
        { op: 'update', table: 'notes', row: { id: 2, short: 'a' }, old: { id: 1, short: null, long: null }, before: 'key' },
        { op: 'delete', table: 'notes', row: { id: 2, short: null, long: null }, old: { id: 2, short: null, long: null }, before: 'key' },
      ]);
    }
  });

  test('a truncate stands where it happened, for the captured tables it names; what a savepoint takes back never comes', async () => {
    await using database = await notebook();
    await database.sql('create table other (id int4)');
    const seen = await changes(
      database,
      `begin; insert into notes values (1, 'a'); truncate notes, other; insert into notes values (2, 'b'); savepoint s;
       insert into notes values (3, 'c'); rollback to s; insert into notes values (4, 'd'); commit`,
      'insert into other values (1)',
      `begin; insert into notes values (5, 'e'); rollback`,
      `insert into notes values (6, 'f')`,
    );
    expect(seen).toEqual([
      { op: 'insert', table: 'notes', row: { id: 1, short: 'a', long: null } },
      { op: 'truncate', tables: ['notes'] },
      ...[
        [2, 'b'],
        [4, 'd'],
        [6, 'f'],
      ].map(([id, short]) => ({ op: 'insert', table: 'notes', row: { id, short, long: null } })),
    ]);
  });

  test('partitions come as their table, also where their columns stand in another order; a row that moves is a delete and an insert', async () => {
    await using database = await server.database();
    await database.sql(`create table sales (id int8, region text, amount int4, primary key (id, region)) partition by list (region);
      create table sales_eu partition of sales for values in ('eu');
      create table sales_us (amount int4, gone int4, region text not null, id int8 not null, primary key (id, region));
      alter table sales_us drop column gone;
      alter table sales attach partition sales_us for values in ('us')`);
    const sales = table('sales', { id: int8(), region: text(), amount: int4().orNull() }, { key: ['id', 'region'] });
    const { changes: seen } = await changesOf(postgres({ url: database.url }).capture({ sales }), testContext(), async () => {
      await database.sql(`insert into sales values (1, 'eu', 10), (2, 'us', 20)`);
      await database.sql(`update sales set region = 'us' where id = 1`);
      await database.sql(`create table sales_cn partition of sales for values in ('cn')`);
      await database.sql(`insert into sales values (3, 'cn', 30)`);
      await database.sql('truncate sales');
    });
    expect(brief(seen)).toEqual([
      { op: 'insert', table: 'sales', row: { id: 1n, region: 'eu', amount: 10 } },
      { op: 'insert', table: 'sales', row: { id: 2n, region: 'us', amount: 20 } },
      expect.objectContaining({ op: 'delete', before: 'key' }),
      { op: 'insert', table: 'sales', row: { id: 1n, region: 'us', amount: 10 } },
      { op: 'insert', table: 'sales', row: { id: 3n, region: 'cn', amount: 30 } },
      { op: 'truncate', tables: ['sales'] },
    ]);
  });

  test('columns that are declared wider come as they are declared; types without a binary form that can be read make the stream one of text', async () => {
    await using database = await server.database();
    await database.sql(`create type mood as enum ('sad', 'glad'); create table wide (id int4 primary key, small int2, price numeric(8,2), mood mood, left_out text);
      create table spans (id int4 primary key, span int4range, price numeric(8,2))`);
    const wide = table('wide', { id: int8(), small: int4().orNull(), price: text().orNull(), mood: text().orNull() }, { key: ['id'] });
    const spans = table('spans', { id: int8(), span: range('int4range').orNull() }, { key: ['id'] });
    const home = postgres({ url: database.url });
    const row = { id: 1n, small: 2, price: '3.50', mood: 'glad' };
    for (const tables of [{ wide }, { wide, spans }]) {
      const { changes: seen } = await changesOf(home.capture(tables), testContext(), async () => {
        await database.sql(
          `insert into wide values (1, 2, 3.5, 'glad', 'x'); delete from wide; insert into spans values (1, '[1,5)'); delete from spans`,
        );
      });
      const ours = seen.filter((change) => 'table' in change && change.table === 'wide');
      expect(brief(ours)).toEqual([
        { op: 'insert', table: 'wide', row },
        expect.objectContaining({ op: 'delete', row: { id: 1n, small: null, price: null, mood: null } }),
      ]);
      if ('spans' in tables) expect(brief(seen)).toContainEqual({ op: 'insert', table: 'spans', row: { id: 1n, span: '[1,5)' } });
    }
  });

  test('stored generated columns come where the server publishes them', async () => {
    await using database = await server.database();
    await database.sql('create table sums (id int4 primary key, a int4, twice int4 generated always as (a * 2) stored, more int4)');
    const sums = table('sums', { id: int4(), twice: int4().orNull(), more: int4().orNull() }, { key: ['id'] });
    const seen = changesOf(postgres({ url: database.url }).capture({ sums }), testContext(), () =>
      database.sql('insert into sums (id, a, more) values (1, 4, 5); update sums set a = 5'),
    );
    if (version < 18) return await expect(seen).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(brief((await seen).changes).map((change) => (change as { row: unknown }).row)).toEqual([
      { id: 1, twice: 8, more: 5 },
      { id: 1, twice: 10, more: 5 },
    ]);
  });
});

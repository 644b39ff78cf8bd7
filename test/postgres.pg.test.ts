import { expect, test } from 'vitest';
import { testDatabase } from './postgres.ts';

test('two databases of one run know nothing of each other', async () => {
  await using one = await testDatabase();
  await using two = await testDatabase();
  await one.sql('create table t (id int8)');
  await one.sql('insert into t values ($1)', ['9223372036854775807']);
  expect(await one.sql('select id from t')).toEqual([{ id: '9223372036854775807' }]);
  await expect(two.sql('select * from t')).rejects.toThrow(/does not exist/);
});

test('a database is dropped although a replication slot still holds it', async () => {
  await using outside = await testDatabase();
  {
    await using inside = await testDatabase();
    await inside.sql(`select pg_create_logical_replication_slot('left_' || $1, 'pgoutput')`, [inside.name]);
  }
  expect(await outside.sql(`select slot_name from pg_replication_slots where slot_name like 'left_%'`)).toEqual([]);
});

test('the server writes enough WAL for logical replication and keeps time in UTC', async () => {
  await using pg = await testDatabase();
  expect(await pg.sql(`select current_setting('wal_level') as wal, current_setting('TimeZone') as zone`)).toEqual([
    { wal: 'logical', zone: 'UTC' },
  ]);
});

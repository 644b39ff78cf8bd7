import { int4, table } from '@millrace/core';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, brief, readToEnd } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';

// MySQL takes this setting only when its files are made, and these are made already.
const takesSetting = !process.env['MILLRACE_TEST_MYSQLD'];

describe.runIf(takesSetting)('a server that does not tell Orders from orders', () => {
  const orders = table('orders', { id: int4() }, { key: ['id'] });
  let server: MariaDbServer;
  beforeAll(async () => {
    server = await mariaDbServer({ binlog: true, settings: { 'lower-case-table-names': '1' } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  beforeEach(() =>
    server.sql(
      'drop database if exists _millrace',
      'drop database if exists shop',
      'create database shop',
      'create table shop.orders (id int primary key)',
      'create table shop.others (id int primary key)',
    ),
  );
  const opened = () => begin(mariadb({ url: `${server.url}/shop` }).capture({ orders }), testContext());

  test.each(['Truncate Table ORDERS', 'truncate table SHOP.Orders'])('%s', async (statement) => {
    const { source, position } = await opened();
    await using _source = source;
    await server.sql('use Shop', 'insert into orders values (1)', statement, 'insert into ORDERS values (2)');
    expect(brief((await readToEnd(source, position)).flatMap(({ changes }) => changes))).toEqual([
      { op: 'insert', table: 'orders', row: { id: 1 } },
      { op: 'truncate', tables: ['orders'] },
      { op: 'insert', table: 'orders', row: { id: 2 } },
    ]);
  });

  test.each([
    ['drop table Orders', 'was dropped'],
    ['rename table ORDERS to moved', 'was renamed to'],
    ['rename table others to moved, Orders to others', 'was renamed to'],
    ['alter table Shop.ORDERS rename to others2', 'was renamed to'],
    ['alter table ORDERS engine = MyISAM', 'is kept by MyISAM'],
    ['drop database Shop', 'dropped with its database'],
  ])('%s ends the stream', async (statement, message) => {
    const { source, position } = await opened();
    await using _source = source;
    let rows = 0;
    const reading = (async () => {
      for await (const group of source.read(position, { signal: AbortSignal.timeout(20_000) }))
        for await (const part of group.parts) rows += part.kind === 'changes' ? part.kinds.length : 0;
    })();
    const ended = expect(reading).rejects.toMatchObject({ code: 'RESYNC_REQUIRED', message: expect.stringContaining(message) });
    await server.sql('insert into shop.orders values (1)');
    await expect.poll(() => rows, { timeout: 15_000 }).toBe(1);
    await server.sql('use Shop', statement);
    await ended;
  });
});

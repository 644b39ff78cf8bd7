import dns from 'node:dns';
import { connect, createServer, type Server } from 'node:net';
import { int8, table } from '@millrace/core';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { type LogicalServer, logicalServer } from '../../../../test/logical-server.ts';
import { loadRows, testContext } from '../../test/load.ts';
import { readPlan, wholeTable } from '../../test/read.ts';
import { openSession } from './client.ts';
import { aurora, postgres } from './index.ts';

const items = table('items', { id: int8() }, { key: ['id'] });

let primary: LogicalServer;
let standby: LogicalServer;
beforeAll(async () => {
  primary = await logicalServer();
  await using admin = await openSession({ url: primary.url }, testContext());
  await admin.execute('create table items (id int8 primary key); insert into items select generate_series(1, 50000)');
  standby = await logicalServer({ from: await primary.backup(), standby: true });
});
afterAll(async () => {
  await standby?.[Symbol.asyncDispose]();
  await primary?.[Symbol.asyncDispose]();
});

/** The port of another server on an address of its own: names that lead to several have one port. */
async function alsoAt(address: string, port: number, server: LogicalServer): Promise<Server> {
  const front = createServer((near) => {
    const far = connect(server.port, '127.0.0.1');
    near.pipe(far).pipe(near);
    for (const [one, another] of [[near, far] as const, [far, near] as const]) one.on('error', () => another.destroy());
  });
  await new Promise<void>((resolve) => front.listen(port, address, resolve));
  return front;
}

test('the name of a reader endpoint leads to another instance each time, and a read stays with the one it began at', async () => {
  const port = primary.port;
  const fronts = [await alsoAt('127.0.0.2', port, primary), await alsoAt('127.0.0.3', port, standby)];
  let asked = 0;
  const lookup = vi.spyOn(dns, 'lookup').mockImplementation(((
    _: string,
    options: { all?: boolean },
    done: (...answer: unknown[]) => void,
  ) => {
    const address = asked++ % 2 === 0 ? '127.0.0.3' : '127.0.0.2';
    done(null, options.all ? [{ address, family: 4 }] : address, 4);
  }) as never);
  onTestFinished(() => {
    lookup.mockRestore();
    for (const front of fronts) front.close();
  });
  const reader = `postgres://postgres:millrace@shop.cluster-ro-c1x2y3.eu-west-1.rds.amazonaws.com:${port}/postgres?sslmode=disable`;
  const shop = aurora({ url: primary.url, reader });
  expect([shop.label, shop.selection(items).description.connection]).toEqual([
    expect.stringContaining('127.0.0.1'),
    expect.stringContaining('cluster-ro-'),
  ]);
  await using source = await shop.selection(items).open(testContext());
  const plan = await source.plan({ ...wholeTable, splitBytes: 262_144 });
  expect(plan.splits.length).toBeGreaterThan(3);
  expect((await readPlan(source, plan)).rows).toHaveLength(50_000);
  expect(plan.shared?.['instance']).toBe('127.0.0.3');
  expect(asked).toBe(1);
  // Somebody who helps comes to the other one first.
  await using helper = await shop.selection(items).open(testContext());
  expect(asked).toBe(2);
  await helper.join?.(plan);
  expect((await readPlan(helper, plan)).rows).toHaveLength(50_000);
  expect(asked).toBe(2);
});

test('a load waits for the writer while its name still leads to a standby', async () => {
  const at = (server: LogicalServer) => postgres({ url: server.url }).table(items, { mode: 'append' });
  await expect(loadRows(at(standby), { splits: [[{ id: 50_001n }]] })).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
    message: expect.stringContaining('standby'),
    remedy: expect.stringContaining('writer'),
  });
  await expect(postgres({ url: standby.url }).sql().query('delete from items', [], testContext())).rejects.toMatchObject({
    code: 'STATEMENT_FAILED',
  });
  await using session = await openSession({ url: standby.url }, testContext());
  await session.query('select pg_promote()');
  await loadRows(at(standby), { splits: [[{ id: 50_001n }]] });
  expect(await session.query('select count(*) from items')).toEqual([{ count: '50001' }]);
});

test('a server that became read-only is worth another try for those who write', async () => {
  const settings = { default_transaction_read_only: 'on' };
  for (const [writer, code] of [
    [true, 'CONNECTION_FAILED'],
    [false, 'STATEMENT_FAILED'],
  ] as const) {
    await using session = await openSession({ url: primary.url }, testContext(), { writer, settings });
    await expect(session.execute('delete from items')).rejects.toMatchObject({ code, facts: { sqlstate: '25006' } });
  }
});

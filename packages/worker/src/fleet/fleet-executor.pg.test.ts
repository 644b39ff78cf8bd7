import { planOf, stageOf } from '@millrace/core/testing';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { type FleetExecutor, fleetExecutor } from './fleet-executor.ts';

let database: TestDatabase;
let executor: FleetExecutor;
beforeEach(async () => {
  database = await testDatabase();
  executor = await fleetExecutor({ state: database.url });
});
afterEach(async () => {
  vi.useRealTimers();
  await executor[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const start = async () => (await executor.start({ file: 'nightly.ts', plan: planOf('nightly', [stageOf('a')]) })).run;
const hour = 3_600_000;

it("a machine whose clock is wrong makes runs at the store's time: their ids stand in the order in which they were made", async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + hour });
  const ahead = await start();
  vi.setSystemTime(Date.now() - 2 * hour);
  const behind = await start();
  const [second, first] = await executor.list({ pipeline: 'nightly' });
  expect([first?.id, second?.id].sort()).toEqual([ahead.id, behind.id].sort());
  for (const { id, createdAt, request } of [ahead, behind]) {
    expect(Math.abs(Date.parse(request.logicalTime) - Date.parse(createdAt))).toBeLessThan(5_000);
    const made = id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)-.*$/, '$1-$2-$3T$4:$5:$6Z');
    expect(Math.abs(Date.parse(made) - Date.parse(createdAt))).toBeLessThan(5_000);
  }
});

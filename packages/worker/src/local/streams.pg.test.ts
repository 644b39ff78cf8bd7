import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type TestProject, testProject } from '../../test/project.ts';
import type { LocalExecutor } from './options.ts';

let project: TestProject;
let executor: LocalExecutor;
beforeAll(async () => {
  project = await testProject();
  executor = await project.executor();
});
afterAll(() => project[Symbol.asyncDispose]());

/** A shop in memory with a new order every 20 ms, and mirrors of it; a mirror that is made durable leaves a file. */
const shop = (name: string, captures = 1): string =>
  project.pipeline(
    name,
    `import { writeFileSync } from 'node:fs';
     import { capture, continuous, int4, table } from '@millrace/core';
     import { MemoryDatabase, memoryApply, memoryDatabase, memoryMirror } from '@millrace/core/testing';
     const orders = table('orders', { id: int4() }, { key: ['id'] });
     const shop = new MemoryDatabase({ orders });
     let id = 0;
     const order = () => shop.commit({ do: 'insert', table: 'orders', row: { id: id++ } });
     order();
     setInterval(order, 20).unref();
     const steps = {};
     for (let n = 0; n < ${captures}; n++) {
       steps['changes' + n] = capture(memoryDatabase(shop), { tables: { orders } });
       steps['mirrored' + n] = load(steps['changes' + n], memoryApply(memoryMirror(), {
         at: (point) => { if (point === 'flush') writeFileSync('${name}.flushed', ''); },
       }));
     }
     export default pipeline({ name: '${name}', runs: continuous, steps });`,
  );

const positionOf = async (pipeline: string, by = executor): Promise<string> =>
  (await by.streams(pipeline))[0]?.progress.stream?.position ?? '';

it('a stream goes on, tells other processes where it is, does what they ask, and comes to a good end when it is cancelled', async () => {
  const { run } = await executor.start({ file: shop('followed') });
  expect(run.state.at).toBe('running');
  await using other = await project.executor();
  await vi.waitFor(async () => expect(await positionOf('followed', other)).not.toBe(''), 20_000);
  const before = await positionOf('followed', other);
  await vi.waitFor(async () => expect((await positionOf('followed', other)) > before).toBe(true), 20_000);

  await expect(other.start({ file: shop('followed') })).rejects.toMatchObject({
    code: 'RUN_HELD',
    message: expect.stringContaining(run.id),
  });
  expect(await other.list({ pipeline: 'followed' })).toHaveLength(1);

  const stream = { pipeline: 'followed', step: 'changes0' };
  const good = await other.requestStream(stream, { kind: 'resync', tables: ['orders'] });
  await vi.waitFor(
    async () => expect(await other.streamRequest(good.id)).toMatchObject({ answeredAt: expect.any(String), error: null }),
    20_000,
  );
  const bad = await other.requestStream(stream, { kind: 'resync', tables: ['nothing'] });
  await vi.waitFor(async () => expect(await other.streamRequest(bad.id)).toMatchObject({ error: { message: expect.any(String) } }), 20_000);

  expect(existsSync(join(project.directory, 'followed.flushed'))).toBe(false);
  await other.cancel(run.id);
  expect((await executor.finished(run.id)).state.at).toBe('cancelled');
  expect(existsSync(join(project.directory, 'followed.flushed'))).toBe(true);
  expect((await executor.show(run.id)).stages[0]?.attempts).toMatchObject([{ result: 'cancelled' }]);
});

it('one that was left behind is ended, and another takes its place; until it has caught up where that is asked', async () => {
  const first = await project.executor();
  const { run } = await first.start({ file: shop('left') });
  await vi.waitFor(async () => expect(await positionOf('left')).not.toBe(''), 20_000);
  await first[Symbol.asyncDispose]();
  expect(existsSync(join(project.directory, 'left.flushed'))).toBe(true);
  expect(await executor.show(run.id)).toMatchObject({ abandoned: true, waits: expect.stringContaining('no process follows it') });
  const { run: second, continued } = await executor.start({ file: shop('left'), until: 'caught-up' });
  expect({ other: second.id !== run.id, continued }).toEqual({ other: true, continued: false });
  expect((await executor.show(run.id)).run.state.at).toBe('cancelled');
  const ended = await executor.finished(second.id);
  expect(ended.stages.get('changes0')?.state).toMatchObject({
    at: 'succeeded',
    output: { kind: 'changes', stream: { tables: { orders: { at: 'ready' } } } },
  });
});

it('of many that start at once one follows the stream', async () => {
  const file = shop('rivals');
  const all = await Promise.all([1, 2, 3].map(() => project.executor()));
  const started = await Promise.allSettled(all.map((one) => one.start({ file })));
  expect(started.map((one) => (one.status === 'rejected' ? one.reason.code : 'runs')).sort()).toEqual(['RUN_HELD', 'RUN_HELD', 'runs']);
  for (const one of all) await one[Symbol.asyncDispose]();
});

it('more streams than places would wait for ever: that is told', async () => {
  await expect(executor.start({ file: shop('crowded', 3) })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('3 streams'),
  });
});

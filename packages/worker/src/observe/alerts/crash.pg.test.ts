import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { decide, makeRunId, type RunStore, type StoredError } from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import { expect, it, vi } from 'vitest';
import { bundled } from '../../../../../test/bundle.ts';
import { testDatabase } from '../../../../../test/postgres.ts';
import { httpServer } from '../../../test/http-server.ts';
import { postgresStore } from '../../store/postgres-store.ts';

const error: StoredError = { code: 'TYPE_MISMATCH', message: 'm', remedy: 'r', facts: {} };
const failures = 20;

async function fail(store: RunStore, pipeline: string): Promise<void> {
  const { run } = await store.create({
    id: makeRunId(new Date(), Math.random),
    request: requestFor(pipeline),
    plan: planOf(pipeline, [stageOf('a')]),
    queue: 'fleet',
  });
  await store.transition(run.id, (record, now) => decide(record, { type: 'admit', rivals: [], limit: 99 }, now));
  await store.transition(run.id, (record, now) => decide(record, { type: 'claim', stage: 'a', worker: 'w' }, now));
  await store.transition(run.id, (record, now) => decide(record, { type: 'fail', stage: 'a', epoch: 1, error, random: 1 }, now));
}

it('loses no alert with processes that are killed, and sends one twice only where its sender died', { timeout: 120_000 }, async () => {
  await using program = await bundled(new URL('../../../test/fixtures/alerting.ts', import.meta.url));
  await using database = await testDatabase();
  await using store = await postgresStore(database.url);
  await using hook = await httpServer((_, response) => void setTimeout(() => response.end(), 30));
  const children = new Set<ChildProcess>();
  const start = async () => {
    const child = spawn(process.execPath, [program.file], {
      env: { ...process.env, STATE: database.url, HOOK: hook.url },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.add(child);
    await once(child.stdout, 'data');
    return child;
  };
  try {
    let [one] = await Promise.all([start(), start()]);
    await vi.waitFor(async () => expect(await database.sql('select 1 from millrace.look')).toHaveLength(1), { timeout: 30_000 });
    let kills = 0;
    for (let i = 0; i < failures; i++) {
      await fail(store, `p${i % 4}`);
      if (i % 10 !== 9) continue;
      // In the middle of sending, if it is its turn.
      await vi.waitFor(() => expect(hook.received.length).toBeGreaterThan(i / 2), { timeout: 30_000, interval: 5 });
      one.kill('SIGKILL');
      kills++;
      children.delete(one);
      one = await start();
    }
    const ids = () => hook.received.map(({ headers }) => headers['idempotency-key']);
    await vi.waitFor(
      async () => {
        expect(new Set(ids()).size).toBe(failures);
        expect(await database.sql(`select 1 from millrace.alert where at != 'sent'`)).toEqual([]);
      },
      { timeout: 60_000 },
    );
    expect(ids().length - failures).toBeLessThanOrEqual(kills);
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
});

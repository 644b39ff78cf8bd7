import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { drive } from '../../test/drive.ts';
import { type TestProject, testProject } from '../../test/project.ts';

let project: TestProject;
beforeAll(async () => {
  project = await testProject();
});
afterAll(() => project[Symbol.asyncDispose]());

const slow = (name: string, splits: number): string =>
  project.pipeline(
    name,
    `const rows = extract(numbersOf(${splits}, 100)); const loaded = load(rows, ledgerTarget('${name}'));
     export default pipeline({ name: '${name}', steps: { rows, loaded } });`,
  );
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

it('a run goes on though the state database ends every session, again and again', { timeout: 60_000 }, async () => {
  const executor = await project.executor();
  const { run } = await executor.start({ file: slow('cut', 40) });
  const admin = new pg.Client({ connectionString: project.state });
  await admin.connect();
  for (let i = 0; i < 6; i++) {
    await sleep(250);
    await admin.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
  }
  await admin.end();
  const ended = await executor.finished(run.id);
  expect(ended.state).toMatchObject({ at: 'succeeded' });
  expect(await project.rows('cut')).toEqual(numbers(400));
});

it('a worker that slept through its lease wakes up too late to do harm', { timeout: 60_000 }, async () => {
  const file = slow('zombie', 4);
  // Its stage stops before the commit, and then the worker itself.
  const sleeper = drive(project, file, { MILLRACE_FAILPOINT: 'engine.splits.done:1:pause', LEASE_MS: '1000' });
  sleeper.stdout.resume();
  sleeper.stderr.resume();
  const gone = new Promise((resolve) => sleeper.once('exit', resolve));
  const executor = await project.executor({ leaseMs: 1000 });
  await vi.waitFor(async () => expect(await project.staged()).toBe(4), { timeout: 30_000, interval: 100 });
  await sleep(500);
  sleeper.kill('SIGSTOP');
  const [open] = await executor.list({ pipeline: 'zombie' });
  const started = await vi.waitFor(
    async () => {
      const { run, continued } = await executor.start({ file });
      if (!continued) await executor.cancel(run.id);
      expect(continued).toBe(true);
      return run;
    },
    { timeout: 20_000, interval: 500 },
  );
  expect(started.id).toBe(open?.id);
  expect((await executor.finished(started.id)).state).toMatchObject({ at: 'succeeded' });
  expect(await project.rows('zombie')).toEqual(numbers(40));
  sleeper.kill('SIGCONT');
  await gone;
  expect(await project.rows('zombie')).toEqual(numbers(40));
  expect((await executor.show(started.id)).stages[0]?.attempts.map(({ result }) => result)).toEqual(['lost', 'succeeded']);
});

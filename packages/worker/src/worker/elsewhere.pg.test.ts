import { setTimeout as sleep } from 'node:timers/promises';
import type { RunDetail } from '@millrace/core/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { drive } from '../../test/drive.ts';
import { type TestProject, testProject } from '../../test/project.ts';
import type { LocalExecutor } from '../local/options.ts';

/* Work of a service, from processes that are killed at every instant. A start that is made twice is a second row at the service. */

let project: TestProject;
beforeAll(async () => {
  project = await testProject();
});
afterAll(() => project[Symbol.asyncDispose]());

/** A pipeline of one remote step, and what follows it. */
const pipelineOf = (name: string, options = ''): string =>
  project.pipeline(
    name,
    `const work = ledgerWork('${name}', { ${options} });
     const called = ledgerCall('${name}', [work]);
     export default pipeline({ name: '${name}', steps: { work, called } });`,
  );
const worksOf = async (name: string) => (await project.works()).filter(({ step }) => step === name);

/** A process that runs the file, and dies at the failpoint. */
function start(file: string, failpoint = '') {
  const child = drive(project, file, { MILLRACE_FAILPOINT: failpoint });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => {
      said += text;
    });
  const ended = new Promise<string>((resolve) => child.once('close', (code, signal) => resolve(signal ?? `exit ${code} ${said}`)));
  return { child, ended };
}

describe('a process that runs a remote step', () => {
  let executor: LocalExecutor;
  beforeEach(async () => {
    executor = await project.executor({ environment: { concurrency: 1 } });
  });
  afterEach(() => executor[Symbol.asyncDispose]());

  const until = async (run: string, holds: (detail: RunDetail) => boolean): Promise<RunDetail> => {
    for (let i = 0; i < 600; i++) {
      const detail = await executor.show(run);
      if (holds(detail)) return detail;
      await sleep(25);
    }
    throw new Error(`it never was so: ${JSON.stringify((await executor.show(run)).stages)}`);
  };
  const elsewhere = (run: string) =>
    until(run, ({ stages: [stage] }) => stage?.progress?.remote?.status === 'RUNNING' && (stage.waits ?? '').includes('RUNNING'));

  it('holds no place meanwhile, and says what goes on where', async () => {
    const { run } = await executor.start({ file: pipelineOf('free') });
    const { stages } = await elsewhere(run.id);
    expect(stages[0]).toMatchObject({
      waits: expect.stringMatching(
        /^runs elsewhere: Ledger work free, RUNNING 40 %, https:\/\/ledger\/\d+; looked at \d\d:\d\d:\d\d UTC, /,
      ),
      progress: { phase: 'elsewhere', remote: { status: 'RUNNING', progress: 0.4, link: expect.stringContaining('https://ledger/') } },
      attempts: [{ attempt: 1, result: 'running' }],
    });
    // There is one place in all.
    const other = await executor.start({
      file: project.pipeline(
        'beside',
        `const called = ledgerCall('beside', []); export default pipeline({ name: 'beside', steps: { called } });`,
      ),
    });
    expect((await executor.finished(other.run.id)).state.at).toBe('succeeded');
    await project.endWorks();
    expect((await executor.finished(run.id)).state.at).toBe('succeeded');
    expect((await executor.show(run.id)).stages[0]).toMatchObject({
      state: { output: { kind: 'remote', label: 'Ledger work free', output: { said: 'done' } } },
      attempts: [{ result: 'succeeded' }],
    });
    expect(await project.calls()).toContain('free');
  });

  it('starts it again where it was interrupted, and ends it with its timeout and where its stage gives up, begun or not', async () => {
    const file = project.pipeline(
      'fates',
      `const onFailure = 'continue';
       const interrupted = ledgerWork('interrupted', { runsMs: 1, interruptions: 2, retry: { delay: '10ms' }, onFailure });
       const late = ledgerWork('late', { timeout: '3s', retry: { attempts: 1 }, onFailure });
       const lost = ledgerWork('lost', { cuts: 1, retry: { attempts: 1 }, onFailure });
       export default pipeline({ name: 'fates', steps: { interrupted, late, lost } });`,
    );
    const { run } = await executor.start({ file });
    expect((await executor.finished(run.id)).state.at).toBe('partial');
    const works = await worksOf('interrupted');
    expect(new Set(works.map(({ request }) => request)).size).toBe(3);
    expect([await worksOf('late'), await worksOf('lost')]).toMatchObject([[{ at: 'stopped' }], [{ at: 'stopped' }]]);
    expect((await executor.show(run.id)).stages).toMatchObject([
      { state: { at: 'succeeded' }, attempts: [{ result: 'failed' }, { result: 'failed' }, { result: 'succeeded' }] },
      { state: { at: 'failed', error: { code: 'STAGE_TIMEOUT' } }, attempts: [{ result: 'failed' }] },
      { state: { at: 'failed', error: { code: 'CONNECTION_FAILED' } }, attempts: [{ result: 'failed' }] },
    ]);
  });

  it('ends it with a cancel', async () => {
    const { run } = await executor.start({ file: pipelineOf('cancelled') });
    await elsewhere(run.id);
    await executor.cancel(run.id);
    expect((await executor.finished(run.id)).state.at).toBe('cancelled');
    expect(await worksOf('cancelled')).toMatchObject([{ at: 'stopped' }]);
  });

  it('leaves it going on when it is asked to end, and the next process watches it', async () => {
    const { run } = await executor.start({ file: pipelineOf('drained') });
    await elsewhere(run.id);
    await executor[Symbol.asyncDispose]();
    expect(await worksOf('drained')).toMatchObject([{ at: 'running' }]);
    executor = await project.executor();
    expect(await executor.show(run.id)).toMatchObject({ abandoned: true });
    expect(await executor.start({ file: pipelineOf('drained') })).toMatchObject({ continued: true, run: { id: run.id } });
    await project.endWorks();
    expect((await executor.finished(run.id)).state.at).toBe('succeeded');
    expect(await worksOf('drained')).toHaveLength(1);
  });

  it('that died is replaced by whoever cancels its run', async () => {
    const file = pipelineOf('orphan');
    expect(await start(file, 'worker.look.known').ended).toBe('SIGKILL');
    const [open] = await executor.list({ pipeline: 'orphan' });
    await vi.waitFor(async () => expect(await executor.show(open?.id ?? '')).toMatchObject({ abandoned: true }), { timeout: 30_000 });
    const cancelled = await executor.cancel(open?.id ?? '');
    expect(cancelled.state.at).toBe('cancelled');
    expect(await worksOf('orphan')).toMatchObject([{ at: 'stopped' }]);
  });
});

it('a machine that dies at every instant of it starts it once', async () => {
  const file = pipelineOf('dies');
  const points = [
    'engine.remote.intended',
    'engine.remote.started',
    'engine.remote.recorded',
    'worker.outcome.known',
    'worker.look.taken',
    'engine.remote.polled',
    'worker.look.known',
    'worker.look.stored',
  ];
  for (const point of points) {
    expect(await start(file, point).ended, point).toBe('SIGKILL');
    expect((await worksOf('dies')).length, point).toBe(point === 'engine.remote.intended' ? 0 : 1);
  }
  await project.endWorks();
  expect(await start(file, 'worker.look.known').ended).toBe('SIGKILL');
  await using executor = await project.executor();
  await vi.waitFor(async () => expect((await executor.list({ pipeline: 'dies' }))[0]?.abandoned).toBe(true), { timeout: 30_000 });
  const { run } = await executor.start({ file });
  expect((await executor.finished(run.id)).state.at).toBe('succeeded');
  expect(await worksOf('dies')).toMatchObject([{ at: 'ended' }]);
  expect((await project.calls()).filter((step) => step === 'dies')).toEqual(['dies']);
});

it('a cancel holds though who carries it out dies before and after he has told the service', async () => {
  const file = pipelineOf('stops');
  await using executor = await project.executor();
  const runs = async () => (await executor.list({ pipeline: 'stops' }))[0];
  for (const point of ['worker.look.known:2', 'engine.remote.cancelled']) {
    const { ended } = start(file, point);
    if (point === 'engine.remote.cancelled') {
      // Before it has taken the run up, whoever cancels would do all of it.
      await vi.waitFor(async () => expect((await runs())?.abandoned).toBe(false), { timeout: 30_000 });
      await executor.cancel((await runs())?.id ?? '');
    }
    expect(await ended, point).toBe('SIGKILL');
  }
  await vi.waitFor(async () => expect((await runs())?.abandoned).toBe(true), { timeout: 30_000 });
  expect((await executor.cancel((await runs())?.id ?? '')).state.at).toBe('cancelled');
  expect(await worksOf('stops')).toMatchObject([{ at: 'stopped' }]);
});

it('a stage that has given up fails when its work has ended, whoever dies meanwhile', async () => {
  const file = pipelineOf('gives-up', `cuts: 1, retry: { attempts: 1 }`);
  await using executor = await project.executor();
  expect(await start(file, 'worker.outcome.stored').ended).toBe('SIGKILL');
  const [run] = await executor.list({ pipeline: 'gives-up' });
  expect((await executor.show(run?.id ?? '')).stages[0]).toMatchObject({
    state: { at: 'elsewhere', ends: { code: 'CONNECTION_FAILED' } },
    waits: 'gave up after CONNECTION_FAILED; may run elsewhere: whoever looks next asks for Ledger work gives-up',
  });
  expect(await start(file, 'engine.remote.cancelled').ended).toBe('SIGKILL');
  await vi.waitFor(async () => expect((await executor.list({ pipeline: 'gives-up' }))[0]?.abandoned).toBe(true), { timeout: 30_000 });
  expect(await executor.start({ file })).toMatchObject({ continued: true });
  expect((await executor.finished(run?.id ?? '')).state).toMatchObject({ at: 'failed', error: { code: 'CONNECTION_FAILED' } });
  expect(await worksOf('gives-up')).toMatchObject([{ at: 'stopped' }]);
});

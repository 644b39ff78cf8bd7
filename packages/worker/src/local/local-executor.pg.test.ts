import { setTimeout as sleep } from 'node:timers/promises';
import type { LogLine, RunRecord, StageState, WatchEvent } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { gate, type TestProject, testProject } from '../../test/project.ts';
import type { LocalExecutor } from './options.ts';

let project: TestProject;
let executor: LocalExecutor;

beforeAll(async () => {
  project = await testProject();
  executor = await project.executor();
});
afterAll(() => project[Symbol.asyncDispose]());

/** The state in a word, with what went wrong. */
const outcome = ({ state }: RunRecord): string => ('error' in state ? `${state.at} ${state.error.code}: ${state.error.message}` : state.at);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const stateOf = (run: RunRecord, stage: string): StageState['at'] | undefined => run.stages.get(stage)?.state.at;

/** A pipeline of one load, whose function gets the first number of each batch of ten. */
const one = (name: string, does = '() => {}', { splits = 3, pause = 0, options = '' } = {}): string =>
  project.pipeline(
    name,
    `const rows = extract(numbersOf(${splits}, ${pause}));
     const facts = each(rows, ${does});
     const loaded = load(facts, ledgerTarget('${name}'), { ${options} });
     export default pipeline({ name: '${name}', steps: { rows, facts, loaded } });`,
  );

async function run(file: string, request: Partial<Parameters<LocalExecutor['start']>[0]> = {}): Promise<RunRecord> {
  const started = await executor.start({ file, ...request });
  return executor.finished(started.run.id);
}

async function logsOf(id: string): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of executor.logs(id)) lines.push(line);
  return lines;
}

/** Until the run's stage is where it is wanted. */
async function until(run: string, stage: string, at: StageState['at'], by = executor): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (stateOf((await by.show(run)).run, stage) === at) return;
    await sleep(25);
  }
  throw new Error(`${stage} never was ${at}`);
}

describe('a run', () => {
  it('goes through its stages in processes of their own, and can be watched', async () => {
    const file = project.pipeline(
      'plain',
      `const rows = extract(numbersOf(3, 150));
       const loaded = load(rows, ledgerTarget('plain'));
       const called = ledgerCall('refresh', [loaded]);
       export default pipeline({ name: 'plain', steps: { rows, loaded, called } });`,
    );
    const { run: started } = await executor.start({ file });
    const seen: WatchEvent[] = [];
    for await (const event of executor.watch(started.id)) seen.push(event);
    expect(outcome((await executor.show(started.id)).run)).toBe('succeeded');
    expect(await project.rows('plain')).toEqual(numbers(30));
    expect(await project.calls()).toEqual(['refresh']);
    const types = seen.flatMap((event) => (event.kind === 'event' ? [event.event.type] : []));
    expect(types).toEqual([
      'run.queued',
      'run.started',
      'stage.ready',
      'stage.started',
      'stage.succeeded',
      'stage.ready',
      'stage.started',
      'stage.succeeded',
      'run.succeeded',
    ]);
    const moving = seen.filter((event) => event.kind === 'progress' && event.stage === 'loaded');
    expect(moving.length).toBeGreaterThan(1);
    expect(moving.at(-1)).toMatchObject({ rows: 30, splits: { done: 3, total: 3 }, memory: expect.any(Number) });
    expect(seen).toContainEqual(expect.objectContaining({ kind: 'log', stage: 'called', message: 'refresh was called' }));
  });

  it('is made once for an idempotency key', async () => {
    const file = one('idempotent');
    const first = await executor.start({ file, idempotencyKey: 'monday' });
    await executor.finished(first.run.id);
    const second = await executor.start({ file, idempotencyKey: 'monday' });
    expect(second).toMatchObject({ continued: true, run: { id: first.run.id } });
  });

  it('waits for the run of its pipeline before it, and says so', async () => {
    const file = one('exclusive', gate('exclusive'));
    const first = await executor.start({ file });
    const second = await executor.start({ file });
    await until(first.run.id, 'loaded', 'running');
    await vi.waitFor(
      async () => expect((await executor.show(second.run.id)).waits).toBe(`waits for run ${first.run.id} of the same pipeline to end`),
      { timeout: 30_000 },
    );
    project.open('exclusive');
    expect(outcome(await executor.finished(first.run.id))).toBe('succeeded');
    expect(outcome(await executor.finished(second.run.id))).toBe('succeeded');
    expect(await project.rows('exclusive')).toHaveLength(60);
  });

  it('takes parameters, and none that the pipeline does not have', async () => {
    const file = project.pipeline(
      'params',
      `const rows = extract(numbersOf(1)); const loaded = load(rows, ledgerTarget('p'));
      export default pipeline({ name: 'params', params: { country: null }, steps: { rows, loaded } });`,
    );
    await expect(executor.start({ file })).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('"country"') });
    await expect(executor.start({ file, params: { land: 'FR' } })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect((await run(file, { params: { country: 'FR' }, logicalTime: '2026-03-29' })).request).toMatchObject({
      params: { country: 'FR' },
      date: '2026-03-29',
    });
  });

  it('may be asked for some of its steps only', async () => {
    const file = project.pipeline(
      'some',
      `const rows = extract(numbersOf(1));
       const a = load(rows, ledgerTarget('some-a'));
       const b = load(rows, ledgerTarget('some-b'), { after: [a] });
       const c = load(rows, ledgerTarget('some-c'), { after: [b] });
       export default pipeline({ name: 'some', steps: { rows, a, b, c } });`,
    );
    const only = await run(file, { only: ['b'] });
    expect(outcome(only)).toBe('succeeded');
    expect(['a', 'b', 'c'].map((stage) => stateOf(only, stage))).toEqual(['skipped', 'succeeded', 'skipped']);
    const from = await run(file, { from: 'b' });
    expect(['a', 'b', 'c'].map((stage) => stateOf(from, stage))).toEqual(['skipped', 'succeeded', 'succeeded']);
    await expect(executor.start({ file, from: 'nope' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

describe('code of the pipeline', () => {
  it('that throws fails its stage with step, row and cause', async () => {
    const ended = await run(one('throws', '() => { throw new TypeError("no such thing"); }'));
    expect(ended.state).toMatchObject({
      at: 'failed',
      error: { code: 'FUNCTION_FAILED', facts: { step: 'facts', causes: ['TypeError: no such thing'] } },
    });
  });

  it.each([
    ['calls process.exit', '() => process.exit(0)', 'ended with exit code 0'],
    ['is killed', '() => void process.kill(process.pid, "SIGKILL")', 'was ended by SIGKILL'],
    ['throws where nobody awaits', '() => void Promise.reject(new Error("unheard"))', 'unheard'],
  ])('that %s costs an attempt and never the worker', async (name, does, message) => {
    const file = one(`crash-${name.replaceAll(/[ .]/g, '-')}`, does, { options: "retry: { attempts: 2, delay: '1ms' }" });
    const ended = await run(file);
    expect(outcome(ended)).toMatch(/^failed STAGE_CRASHED/);
    expect(outcome(ended)).toContain(message);
    const { stages } = await executor.show(ended.id);
    expect(stages[0]?.attempts.map(({ result }) => result)).toEqual(['failed', 'failed']);
  });

  it('that fills the memory costs an attempt, and the error says so', async () => {
    const before = process.env['NODE_OPTIONS'];
    process.env['NODE_OPTIONS'] = '--max-old-space-size=100';
    try {
      const file = one('memory', '() => { for (const all = []; ; ) all.push(new Array(100_000).fill(1.5)); }', {
        options: 'retry: { attempts: 1 }',
      });
      const ended = await run(file);
      expect(ended.state).toMatchObject({
        at: 'failed',
        error: { code: 'STAGE_CRASHED', remedy: expect.stringContaining('max-old-space-size') },
      });
      expect(outcome(ended)).toContain('ran out of memory');
    } finally {
      if (before === undefined) delete process.env['NODE_OPTIONS'];
      else process.env['NODE_OPTIONS'] = before;
    }
  });

  it('that blocks does not stop the heartbeat, and is killed at its timeout', async () => {
    const quick = await project.executor({ leaseMs: 800, graceMs: 300 });
    const file = one('blocks', '() => { for (;;); }', { options: "timeout: '1500ms', retry: { attempts: 1 }" });
    const { run: started } = await quick.start({ file });
    const ended = await quick.finished(started.id);
    expect(outcome(ended)).toMatch(/^failed STAGE_TIMEOUT/);
    expect((await quick.show(started.id)).stages[0]?.attempts).toHaveLength(1);
  });

  it('prints into the log, and no secret with it', async () => {
    const file = one(
      'prints',
      '(n) => { if (n === 0) { console.log("hello from", n); console.error("not so", process.env.HOME ? "good" : "bad"); } }',
    );
    const secret = project.pipeline(
      'tells',
      `const rows = extract(numbersOf(1));
      const loaded = load(each(rows, () => { console.log("the secret is", "${project.target}"); throw new Error("with ${project.target}"); }), ledgerTarget('tells'));
      export default pipeline({ name: 'tells', steps: { rows, facts: loaded.input, loaded } });`,
    );
    const lines = (await logsOf((await run(file)).id)).map(({ level, message }) => `${level}: ${message}`);
    expect(lines).toEqual(['stdout: hello from 0', 'stderr: not so good']);
    const told = await run(secret);
    const everything = JSON.stringify([told.state, await logsOf(told.id)]);
    expect(everything).toContain('the secret is ***');
    expect(everything).toContain('with ***');
    expect(everything).not.toContain(project.target);
  });
});

describe('cancel', () => {
  it('stops what runs, also from another process, and leaves nothing', async () => {
    const { run: started } = await executor.start({ file: one('cancelled', gate('never')) });
    await until(started.id, 'loaded', 'running');
    await using other = await project.executor();
    await other.cancel(started.id);
    expect(outcome(await other.finished(started.id))).toBe('cancelled');
    expect(await project.rows('cancelled')).toEqual([]);
  });

  it('of a run that nobody works on ends it at once', async () => {
    const other = await project.executor();
    const { run: started } = await other.start({ file: one('cancel-later', gate('never')) });
    await until(started.id, 'loaded', 'running');
    await other[Symbol.asyncDispose]();
    expect(await executor.list({ pipeline: 'cancel-later' })).toMatchObject([{ abandoned: true }]);
    expect(outcome(await executor.cancel(started.id))).toBe('cancelled');
  });
});

describe('going on', () => {
  it('happens after a shutdown where the run was, without an attempt spent', async () => {
    const other = await project.executor();
    const file = one('drained', gate('drained'));
    const { run: started } = await other.start({ file });
    await until(started.id, 'loaded', 'running');
    await other[Symbol.asyncDispose]();
    const left = await executor.show(started.id);
    expect(left).toMatchObject({ abandoned: true, waits: expect.stringContaining('runs retry') });
    expect(left.run.stages.get('loaded')).toMatchObject({ attempts: 0, state: { at: 'ready' } });
    project.open('drained');
    const { run: same, continued } = await executor.start({ file });
    expect({ id: same.id, continued }).toEqual({ id: started.id, continued: true });
    expect(outcome(await executor.finished(started.id))).toBe('succeeded');
    expect(await project.rows('drained')).toEqual(numbers(30));
  });

  it('begins at the stage that failed, and at one that is named', async () => {
    const file = project.pipeline(
      'again',
      `const rows = extract(numbersOf(1));
       const a = load(rows, ledgerTarget('again-a'));
       const facts = each(rows, () => { if (!existsSync('mended')) throw new Error('not yet'); });
       const b = load(facts, ledgerTarget('again-b'), { after: [a] });
       const c = ledgerCall('again', [b]);
       export default pipeline({ name: 'again', steps: { rows, a, facts, b, c } });`,
    );
    const failed = await run(file);
    expect(['a', 'b', 'c'].map((stage) => stateOf(failed, stage))).toEqual(['succeeded', 'failed', 'skipped']);
    const { writeFileSync } = await import('node:fs');
    writeFileSync(`${project.directory}/mended`, '');
    await executor.retry(failed.id);
    expect(outcome(await executor.finished(failed.id))).toBe('succeeded');
    await executor.retry(failed.id, { from: 'b' });
    const again = await executor.finished(failed.id);
    expect(outcome(again)).toBe('succeeded');
    expect(again.stages.get('a')).toMatchObject({ epoch: 1 });
    // The same load is applied once, however often it is asked for; a procedure is called again.
    expect(await project.rows('again-b')).toEqual(numbers(10));
    expect((await project.calls()).filter((call) => call === 'again')).toHaveLength(2);
  });

  it('is refused with another version of the pipeline', async () => {
    const file = one('edited', '() => { throw new Error("no"); }');
    const failed = await run(file);
    one('edited', '() => {}');
    await using other = await project.executor();
    await expect(other.resume(failed.id)).rejects.toMatchObject({ code: 'PLAN_CHANGED', remedy: expect.stringContaining('cancel') });
  });

  it('is refused while another process works on the run', async () => {
    const { run: started } = await executor.start({ file: one('held', gate('never')) });
    await until(started.id, 'loaded', 'running');
    await using other = await project.executor();
    await expect(other.resume(started.id)).rejects.toMatchObject({ code: 'RUN_HELD' });
    await executor.cancel(started.id);
  });
});

it('an unknown run is RUN_NOT_FOUND', async () => {
  await expect(executor.show('nope')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  await expect(executor.watch('nope')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
});

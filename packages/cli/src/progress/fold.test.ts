import type { Receipt, RunEvent, RunRecord, StageOutput, WatchEvent } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { RunFold } from './fold.ts';

const stage = (id: string, needs: string[]) => ({ id, needs, lane: 'rows' });
const record = {
  id: 'r1',
  createdAt: '2026-03-29T02:00:00Z',
  plan: { pipeline: 'nightly', stages: [stage('files', []), stage('copied', ['files'])] },
  stages: new Map(),
} as unknown as RunRecord;

let seq = 0;
const event = (body: RunEvent): WatchEvent => ({ kind: 'event', run: 'r1', seq: ++seq, at: `2026-03-29T02:00:0${seq}Z`, event: body });
const started = (attempt: number): RunEvent => ({ type: 'stage.started', stage: 'files', attempt, epoch: attempt, worker: 'w' });
const progress = (rows: number): WatchEvent =>
  ({
    kind: 'progress',
    run: 'r1',
    stage: 'files',
    epoch: 1,
    phase: 'moving',
    rows,
    bytes: rows * 10,
    splits: { done: 1, total: 4 },
    estimate: { rows: 1000, bytes: null },
    memory: 0,
    elapsedMs: 0,
  }) as WatchEvent;
const error = { code: 'CONNECTION_FAILED', message: 'the host is away', remedy: 'wait', facts: {} } as const;
const output = {
  kind: 'load',
  receipt: { rows: 900, bytes: 9000 } as Receipt,
  alreadyApplied: false,
  lane: 'rows',
  splits: 4,
  rejected: { facts: 3 },
  checks: [],
} as StageOutput;

test('the view follows the events of a run', () => {
  const fold = new RunFold(record);
  const stageNow = (id: string) => fold.view().stages.find((one) => one.id === id);
  expect(stageNow('copied')).toMatchObject({ at: 'waiting', note: 'waits for files' });

  fold.apply(event(started(1)));
  fold.apply(progress(500));
  expect(stageNow('files')).toMatchObject({ at: 'running', rows: 500, bytes: 5000, splits: { done: 1, total: 4 }, expectedRows: 1000 });

  const remark = fold.apply(event({ type: 'stage.retrying', stage: 'files', attempt: 1, next: '2026-03-29T02:01:00Z', error }));
  expect(remark).toBe('files: attempt 1 failed (CONNECTION_FAILED): the host is away');
  expect(stageNow('files')).toMatchObject({ at: 'retrying', note: 'the host is away' });

  fold.apply(event(started(2)));
  expect(stageNow('files')).toMatchObject({ at: 'running', attempt: 2, rows: 0, note: null });

  fold.apply(event({ type: 'stage.succeeded', stage: 'files', attempt: 2, output }));
  expect(stageNow('files')).toMatchObject({
    at: 'succeeded',
    rows: 900,
    splits: { done: 4, total: 4 },
    note: '3 bad rows of facts set aside',
  });
  expect(stageNow('copied')).toMatchObject({ at: 'waiting', note: null });

  fold.apply(event({ type: 'stage.skipped', stage: 'copied', because: { kind: 'stopped', stage: 'files' } }));
  expect(stageNow('copied')).toMatchObject({ at: 'skipped', note: 'the run ended with files' });
});

test('a run that waits for another says so, once it knows', () => {
  const fold = new RunFold(record);
  expect(fold.apply(event({ type: 'run.queued', because: null }))).toBe(undefined);
  expect(fold.apply(event({ type: 'run.queued', because: 'waits for run r0 of the same pipeline to end' }))).toBe(
    'Run r1 waits for run r0 of the same pipeline to end.',
  );
});

test('a run that is taken up begins with what was done before', () => {
  const before = {
    ...record,
    stages: new Map([
      ['files', { id: 'files', state: { at: 'succeeded', since: '2026-03-29T02:00:00Z', attempt: 1, output }, attempts: 1 }],
    ]),
  };
  expect(new RunFold(before as unknown as RunRecord).view().stages[0]).toMatchObject({ at: 'succeeded', rows: 900 });
});

test('work elsewhere is shown as the service tells of it, and not after its end', () => {
  const steps = [{ name: 'job', kind: 'remote', description: { label: 'Glue job nightly' } }];
  const of = { ...record, plan: { pipeline: 'nightly', steps, stages: [stage('job', [])] } };
  const fold = new RunFold(of as unknown as RunRecord);
  const now = () => fold.view().stages[0];
  const told = (status: string, share: number | null): WatchEvent => ({
    ...(progress(0) as Extract<WatchEvent, { kind: 'progress' }>),
    stage: 'job',
    phase: 'elsewhere',
    remote: { status, progress: share, id: 'jr_1', link: 'https://glue/jr_1' },
  });
  fold.apply(event({ type: 'stage.elsewhere', stage: 'job', attempt: 1, epoch: 1, worker: 'w' }));
  expect(now()).toMatchObject({ at: 'running', phase: 'elsewhere', note: 'Glue job nightly' });
  fold.apply(told('RUNNING', 0.4));
  expect(now()).toMatchObject({ at: 'running', note: 'Glue job nightly: RUNNING 40 %, https://glue/jr_1' });
  const handle = { id: 'jr_1', link: null, detail: {} };
  const done: StageOutput = { kind: 'remote', label: 'Glue job nightly', handle, output: {} };
  fold.apply(event({ type: 'stage.succeeded', stage: 'job', attempt: 1, output: done, over: true }));
  fold.apply(told('STOPPING', null));
  expect(now()).toMatchObject({ at: 'succeeded', note: null });
});

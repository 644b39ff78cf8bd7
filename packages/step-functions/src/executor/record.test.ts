import { decide, evolve, machineReached, newRun, type RunEvent, type RunRecord } from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { concluded, type End } from './record.ts';

const now = new Date('2026-03-29T00:00:00Z');
const after = (run: RunRecord, events: readonly RunEvent[]): RunRecord =>
  evolve(
    run,
    events.map((event) => ({ event, at: now.toISOString() })),
  );
const end = (more: Partial<End> = {}): End => ({
  status: 'FAILED',
  failure: { name: 'States.TaskFailed', cause: 'no' },
  stage: null,
  link: 'https://console',
  leases: [],
  alive: new Set(),
  ...more,
});

/** A task of ours has begun the work of `job` at its service, beside `other`. */
function watching(): RunRecord {
  const plan = planOf('p', [stageOf('job', [], { kind: 'remote' }), stageOf('other')]);
  let run = newRun('r', requestFor('p'), plan, now.toISOString());
  run = after(run, machineReached(run, 'other', new Set(), now));
  run = after(run, decide(run, { type: 'claim', stage: 'job', worker: 'w' }, now));
  return after(run, decide(run, { type: 'park', stage: 'job', epoch: 1 }, now));
}

test.each([
  ['the stage itself', { stage: 'job' }, 'failed'],
  ['another stage', { stage: 'other' }, 'failed'],
  ['somebody who stopped it', { status: 'ABORTED' }, 'cancelled'],
] as const)('work that a task has begun is not over because %s ended the execution: a retry goes on with it', (_, how, at) => {
  const run = after(watching(), concluded(watching(), end(how), now));
  expect(run.state.at).toBe(at);
  expect(run.stages.get('job')).toMatchObject({ epoch: 1, settled: 0, state: { at } });
  const again = after(run, decide(run, { type: 'reopen', from: [] }, now));
  expect(again.stages.get('job')?.settled).toBe(0);
});

test('a task that lives and watches it says itself how it ends', () => {
  for (const how of [end({ alive: new Set(['w']) }), end({ status: 'ABORTED', alive: new Set(['w']) })]) {
    const run = after(watching(), concluded(watching(), how, now));
    expect(run.stages.get('job')?.state.at).toBe('elsewhere');
    expect(run.state.at).toBe('running');
  }
});

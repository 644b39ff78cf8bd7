import { decide, evolve, newRun, type PlanStage, type RunEvent, type RunRecord, type StageOutput } from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { onward } from './onward.ts';

const now = new Date('2026-11-22T12:00:00Z');
const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [], notices: [], checks: [] };

const after = (run: RunRecord, events: readonly RunEvent[]): RunRecord =>
  evolve(
    run,
    events.map((event) => ({ event, at: now.toISOString() })),
  );

/** A run of these stages whose first one is under way, and what its success makes. */
function succeeded(stages: readonly PlanStage[]): { run: RunRecord; decided: readonly RunEvent[] } {
  const made = newRun('r', requestFor('p'), planOf('p', stages), now.toISOString());
  const admitted = after(made, decide(made, { type: 'admit', rivals: [], limit: 1 }, now));
  const run = after(admitted, decide(admitted, { type: 'claim', stage: 'a', worker: 'w' }, now));
  return { run, decided: decide(run, { type: 'succeed', stage: 'a', epoch: 1, output }, now) };
}

test('the stage that has become ready is claimed for the same worker', () => {
  const { run, decided } = succeeded([stageOf('a'), stageOf('b', ['a']), stageOf('c', ['a'])]);
  expect(onward(run, decided, 'w', now)).toEqual([{ type: 'stage.started', stage: 'b', attempt: 1, epoch: 1, worker: 'w' }]);
});

test('one that takes a share of a limit is left to the queue', () => {
  const limited: PlanStage = { ...stageOf('b', ['a']), limits: [{ kind: 'pool', name: 'narrow', most: null }] };
  const one = succeeded([stageOf('a'), limited]);
  expect(onward(one.run, one.decided, 'w', now)).toEqual([]);
  const both = succeeded([stageOf('a'), limited, stageOf('c', ['a'])]);
  expect(onward(both.run, both.decided, 'w', now)).toMatchObject([{ stage: 'c' }]);
});

test('nothing is claimed where nothing has become ready, or where the report came too late', () => {
  const waits = succeeded([stageOf('a'), stageOf('b'), stageOf('c', ['a', 'b'])]);
  expect(onward(waits.run, waits.decided, 'w', now)).toEqual([]);
  expect(onward(waits.run, [], 'w', now)).toEqual([]);
});

import { describe, expect, it } from 'vitest';
import { evolve, newRun, type RunEvent, type RunRecord, type StageOutput } from '../state/index.ts';
import { planOf, requestFor, stageOf } from '../testing/plans.ts';
import { type Command, decide } from './decide.ts';
import { machineBegan, machineEnded, machineLeft, machineReached, machineRedriven, stepFunctionsWorker } from './machine.ts';

const now = new Date('2026-03-29T00:00:00Z');
const error = { code: 'REMOTE_FAILED', message: 'no', remedy: 'look', facts: {} } as const;
const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [], notices: [], checks: [] };
const job = (id: string, needs: readonly string[] = [], onFailure: 'stop' | 'continue' = 'continue') =>
  stageOf(id, needs, { kind: 'remote', onFailure });

const interrupted = { at: 'failed', error: { ...error, code: 'REMOTE_INTERRUPTED' }, over: true } as const;

/** A run without a store, and what is done to it. */
function world(stages: ReturnType<typeof stageOf>[]) {
  let run: RunRecord = newRun('r', requestFor('p'), planOf('p', stages), now.toISOString());
  const take = (events: readonly RunEvent[]): string[] => {
    run = evolve(
      run,
      events.map((event) => ({ event, at: now.toISOString() })),
    );
    return events.map((event) => ('stage' in event ? `${event.type.slice(6)} ${event.stage}` : event.type));
  };
  return {
    get run() {
      return run;
    },
    take,
    do: (command: Command) => take(decide(run, command, now)),
    at: (stage: string) => run.stages.get(stage)?.state.at,
  };
}

describe('what a machine did without us', () => {
  it('is recorded as if a worker of its own had begun and ended it, once', () => {
    const one = world([job('a'), stageOf('b', ['a'])]);
    expect(one.take(machineBegan(one.run, 'a', now))).toEqual(['run.started', 'ready a', 'started a', 'elsewhere a']);
    expect(one.run.stages.get('a')?.state).toMatchObject({ worker: stepFunctionsWorker, attempt: 1 });
    expect(machineBegan(one.run, 'a', now)).toEqual([]);
    const found = { at: 'succeeded', output } as const;
    expect(one.take(machineEnded(one.run, 'a', found, now))).toEqual(['succeeded a', 'ready b']);
    expect(machineEnded(one.run, 'a', found, now)).toEqual([]);
    expect(one.run.stages.get('a')).toMatchObject({ settled: 1, epoch: 1 });
  });

  it('is over where the machine has come to a stage behind it, whatever was recorded of it', () => {
    const one = world([job('a'), job('b', ['a']), job('c'), stageOf('d', ['b', 'c'])]);
    one.take(machineBegan(one.run, 'c', now));
    expect(one.take(machineReached(one.run, 'd', new Set(), now))).toEqual([
      'started a',
      'elsewhere a',
      'succeeded a',
      'ready b',
      'started b',
      'elsewhere b',
      'succeeded b',
      'succeeded c',
      'ready d',
    ]);
    expect(machineReached(one.run, 'd', new Set(), now)).toEqual([]);
    expect(one.run.stages.get('a')?.state).toMatchObject({ output: { kind: 'remote', handle: { id: 'r' } } });
  });

  it('is over too where the last attempt that was seen has failed, and the machine has tried again since', () => {
    const one = world([job('a'), stageOf('b', ['a'])]);
    one.take(machineEnded(one.run, 'a', interrupted, now));
    expect(one.at('a')).toBe('retrying');
    expect(one.take(machineReached(one.run, 'b', new Set(), now))).toEqual([
      'ready a',
      'started a',
      'elsewhere a',
      'succeeded a',
      'ready b',
    ]);
  });

  it('has failed where the state of the execution says so, also a task of ours that never said a word', () => {
    const one = world([job('a'), stageOf('b', [], { onFailure: 'continue' }), stageOf('c', ['a']), stageOf('d', ['b']), stageOf('e')]);
    one.take(machineReached(one.run, 'e', new Set(['b']), now));
    expect(['a', 'b', 'c', 'd', 'e'].map(one.at)).toEqual(['ready', 'failed', 'waiting', 'skipped', 'ready']);
    one.take(machineReached(one.run, 'e', new Set(['a', 'b']), now));
    expect(['a', 'c', 'e'].map(one.at)).toEqual(['failed', 'skipped', 'ready']);
  });

  it('leaves a stage of ours alone that is not recorded as done: its success is nobody else to tell', () => {
    const one = world([stageOf('a'), stageOf('b', ['a'])]);
    one.take(machineReached(one.run, 'b', new Set(), now));
    expect(['a', 'b'].map(one.at)).toEqual(['ready', 'waiting']);
    expect(machineEnded(one.run, 'a', { at: 'succeeded', output }, now)).toEqual([]);
  });

  it('leaves alone what one of our tasks has begun at a service', () => {
    const one = world([job('a'), stageOf('b', ['a'])]);
    one.take(machineReached(one.run, 'a', new Set(), now));
    one.do({ type: 'claim', stage: 'a', worker: 'ours' });
    expect(machineReached(one.run, 'b', new Set(), now)).toEqual([]);
    expect(machineBegan(one.run, 'a', now)).toEqual([]);
    one.do({ type: 'park', stage: 'a', epoch: 1 });
    expect(machineReached(one.run, 'b', new Set(), now)).toEqual([]);
  });

  it('ends an attempt that still runs somewhere, and one that waits for its retry', () => {
    const one = world([stageOf('a'), stageOf('b')]);
    one.take(machineReached(one.run, 'a', new Set(), now));
    one.do({ type: 'claim', stage: 'a', worker: 'ours' });
    one.do({ type: 'claim', stage: 'b', worker: 'ours' });
    one.do({ type: 'fail', stage: 'b', epoch: 1, error: { ...error, code: 'CONNECTION_FAILED' }, random: 0.5 });
    expect(one.at('b')).toBe('retrying');
    one.take(machineEnded(one.run, 'b', { at: 'failed', error, over: true }, now));
    one.take(machineEnded(one.run, 'a', { at: 'failed', error, over: true }, now));
    expect(one.run.state).toMatchObject({ at: 'failed', error });
    expect(machineEnded(one.run, 'a', { at: 'failed', error, over: true }, now)).toEqual([]);
  });

  it('gives a stage up, and not the work that one of our tasks has begun for it', () => {
    for (const until of ['running', 'elsewhere', 'lost'] as const) {
      const one = world([job('a', [], 'stop'), stageOf('b', ['a'])]);
      one.take(machineReached(one.run, 'a', new Set(), now));
      one.do({ type: 'claim', stage: 'a', worker: 'ours' });
      if (until === 'elsewhere') one.do({ type: 'park', stage: 'a', epoch: 1 });
      if (until === 'lost') one.do({ type: 'lose', stage: 'a', epoch: 1 });
      one.take(machineEnded(one.run, 'a', { at: 'failed', error, over: true }, now));
      expect(one.run.state).toMatchObject({ at: 'failed', error: { message: expect.stringContaining('may go on') } });
      expect(one.run.stages.get('a')?.settled).toBe(0);
    }
  });

  it('is not waited for when nobody watches it: work of its own has ended, that of a task may go on', () => {
    const one = world([job('a'), job('b'), stageOf('c')]);
    one.take(machineBegan(one.run, 'a', now));
    one.do({ type: 'claim', stage: 'b', worker: 'ours' });
    one.do({ type: 'park', stage: 'b', epoch: 1 });
    one.do({ type: 'cancel' });
    for (const stage of ['a', 'b', 'c']) one.take(machineLeft(one.run, stage, now));
    expect(one.run.state.at).toBe('cancelled');
    expect(['a', 'b'].map((stage) => one.run.stages.get(stage)?.settled)).toEqual([1, 0]);
  });

  it('of a cancelled run ends the run', () => {
    const one = world([job('a')]);
    one.take(machineBegan(one.run, 'a', now));
    one.do({ type: 'cancel' });
    expect(one.at('a')).toBe('elsewhere');
    expect(one.take(machineEnded(one.run, 'a', { at: 'failed', error, over: true }, now))).toEqual(['cancelled a', 'run.cancelled']);
  });
});

describe('an execution that was redriven, of which the record has not heard', () => {
  it('is one reopening, after which every stage that has not succeeded has all its attempts again', () => {
    const one = world([stageOf('a'), job('b'), stageOf('c', ['a', 'b']), job('d')]);
    one.take(machineReached(one.run, 'a', new Set(), now));
    one.do({ type: 'claim', stage: 'a', worker: 'ours' });
    one.do({ type: 'succeed', stage: 'a', epoch: 1, output });
    one.take(machineEnded(one.run, 'b', interrupted, now));
    one.take(machineBegan(one.run, 'd', now));
    expect(one.take(machineRedriven(one.run, now))).toEqual([
      'run.cancel-requested',
      'cancelled b',
      'cancelled c',
      'cancelled d',
      'run.cancelled',
      'run.reopened',
      'run.started',
      'ready b',
      'ready d',
    ]);
    expect(one.run).toMatchObject({ state: { at: 'running' }, cancelRequestedAt: null });
    expect([...one.run.stages.values()].map(({ id, attempts, state }) => [id, attempts, state.at])).toEqual([
      ['a', 1, 'succeeded'],
      ['b', 0, 'ready'],
      ['c', 0, 'waiting'],
      ['d', 0, 'ready'],
    ]);
  });

  it('opens a run that has ended, and leaves alone one that has succeeded', () => {
    const one = world([stageOf('a')]);
    one.take(machineEnded(one.run, 'a', { at: 'failed', error, over: true }, now));
    expect(one.take(machineRedriven(one.run, now))).toEqual(['run.reopened', 'run.started', 'ready a']);
    one.do({ type: 'claim', stage: 'a', worker: 'ours' });
    one.do({ type: 'succeed', stage: 'a', epoch: 2, output });
    expect(machineRedriven(one.run, now)).toEqual([]);
  });

  it('waits for attempts of before, which are asked to stop', () => {
    const one = world([stageOf('a'), stageOf('b', ['a'])]);
    one.take(machineReached(one.run, 'a', new Set(), now));
    one.do({ type: 'claim', stage: 'a', worker: 'ours' });
    expect(one.take(machineRedriven(one.run, now))).toEqual(['run.cancel-requested', 'cancelled b']);
    expect(machineRedriven(one.run, now)).toEqual([]);
    one.do({ type: 'release', stage: 'a', epoch: 1 });
    expect(one.take(machineRedriven(one.run, now))).toEqual(['run.reopened', 'run.started', 'ready a']);
  });
});

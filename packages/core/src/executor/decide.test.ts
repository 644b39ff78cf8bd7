import { describe, expect, it } from 'vitest';
import type { StoredError } from '../error/index.ts';
import type { PlanStage } from '../plan/index.ts';
import { evolve, type RunRequest, type StageOutput } from '../state/index.ts';
import { decidedRun } from '../testing/decided-run.ts';
import { planOf, stageOf as stage } from '../testing/plans.ts';
import { type Command, lossesAllowed, streamLossesAllowed } from './decide.ts';
import { downstream } from './downstream.ts';

const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [1], notices: [], checks: [] };
const busy: StoredError = { code: 'CONNECTION_FAILED', message: 'away', remedy: 'wait', facts: {} };
const broken: StoredError = { code: 'FUNCTION_FAILED', message: 'broken', remedy: 'mend', facts: {} };
const start = new Date('2026-03-29T00:00:00Z');
const later = (minutes: number): Date => new Date(start.getTime() + minutes * 60_000);

/** A run with its log, driven by commands. */
function runOf(stages: readonly PlanStage[], omitted: RunRequest['omitted'] = {}) {
  const run = decidedRun(stages, start, omitted);
  const epochOf = (id: string) => run.now.stages.get(id)?.epoch ?? 0;
  const obey = (command: Command, at = start) => run.do(command, at);
  return {
    first: run.first,
    log: run.log,
    get now() {
      return run.now;
    },
    do: obey,
    at: (id: string) => run.now.stages.get(id)?.state.at,
    admit: () => obey({ type: 'admit', rivals: [], limit: 1 }),
    claim: (id: string) => obey({ type: 'claim', stage: id, worker: 'w' }),
    succeed: (id: string, epoch = epochOf(id)) => obey({ type: 'succeed', stage: id, epoch, output }),
    fail: (id: string, error = broken, epoch = epochOf(id)) => obey({ type: 'fail', stage: id, epoch, error, random: 0.5 }),
  };
}

describe('a run', () => {
  it('goes from stage to stage and ends with the last', () => {
    const run = runOf([stage('a', []), stage('b', ['a'])]);
    run.admit();
    expect(run.at('a')).toBe('ready');
    expect(run.at('b')).toBe('waiting');
    run.claim('a');
    expect(run.claim('b')).toEqual([]);
    run.succeed('a');
    expect(run.at('b')).toBe('ready');
    run.claim('b');
    run.succeed('b');
    expect(run.now.state.at).toBe('succeeded');
  });

  it('waits while another run of its pipeline is active, and says for which', () => {
    const run = runOf([stage('a', [])]);
    const rivals = [{ run: 'other', abandoned: false }];
    run.do({ type: 'admit', rivals, limit: 1 });
    expect(run.now.state).toMatchObject({ at: 'queued', because: 'waits for run other of the same pipeline to end' });
    expect(run.do({ type: 'admit', rivals, limit: 1 })).toEqual([]);
    run.admit();
    expect(run.now.state.at).toBe('running');
  });

  it('tries again after an error that may pass, later each time, and gives up after the last attempt', () => {
    const run = runOf([stage('a', [])]);
    run.admit();
    run.claim('a');
    run.fail('a', busy);
    expect(run.now.stages.get('a')?.state).toMatchObject({ at: 'retrying', attempt: 1, next: '2026-03-29T00:00:00.500Z' });
    expect(run.do({ type: 'wake' })).toEqual([]);
    run.do({ type: 'wake' }, later(1));
    run.claim('a');
    run.fail('a', busy);
    expect(run.now.stages.get('a')?.state).toMatchObject({ at: 'retrying', attempt: 2, next: '2026-03-29T00:00:01.000Z' });
    run.do({ type: 'wake' }, later(1));
    run.claim('a');
    run.fail('a', busy);
    expect(run.now.stages.get('a')?.state).toMatchObject({ at: 'failed', attempt: 3, error: busy });
    expect(run.now.state).toMatchObject({ at: 'failed', error: busy });
  });

  it('does not try again what cannot pass, and skips the rest', () => {
    const run = runOf([stage('a', []), stage('b', ['a']), stage('c', [])]);
    run.admit();
    run.claim('a');
    run.fail('a', broken);
    expect(run.now.stages.get('b')?.state).toEqual({ at: 'skipped', because: { kind: 'stopped', stage: 'a' } });
    expect(run.at('c')).toBe('skipped');
    expect(run.now.state.at).toBe('failed');
  });

  it('lets what already runs come to its end after a failure', () => {
    const run = runOf([stage('a', []), stage('b', []), stage('c', ['b'])]);
    run.admit();
    run.claim('a');
    run.claim('b');
    run.fail('a', broken);
    expect(run.now.state.at).toBe('running');
    run.succeed('b');
    expect(run.at('c')).toBe('skipped');
    expect(run.now.state.at).toBe('failed');
  });

  it('ends partial where the failed step says continue', () => {
    const run = runOf([stage('a', [], { onFailure: 'continue' }), stage('b', ['a']), stage('c', [])]);
    run.admit();
    run.claim('a');
    run.fail('a', broken);
    expect(run.now.stages.get('b')?.state).toEqual({ at: 'skipped', because: { kind: 'upstream', stage: 'a' } });
    run.claim('c');
    run.succeed('c');
    expect(run.now.state).toMatchObject({ at: 'partial', error: broken });
  });

  it('cancels what waits at once and ends when what runs has stopped', () => {
    const run = runOf([stage('a', []), stage('b', ['a'])]);
    run.admit();
    run.claim('a');
    run.do({ type: 'cancel' });
    expect(run.at('b')).toBe('cancelled');
    expect(run.now.state.at).toBe('running');
    run.fail('a', { ...broken, code: 'RUN_CANCELLED' });
    expect(run.now.state.at).toBe('cancelled');
  });

  it('has succeeded where the last commit came before the cancel', () => {
    const run = runOf([stage('a', [])]);
    run.admit();
    run.claim('a');
    run.do({ type: 'cancel' });
    run.succeed('a');
    expect(run.now.state.at).toBe('succeeded');
  });

  it('spends no attempt on a shutdown, nor on a worker that is lost, up to a limit', () => {
    const run = runOf([stage('a', [])]);
    run.admit();
    run.claim('a');
    run.do({ type: 'release', stage: 'a', epoch: 1 });
    expect(run.now.stages.get('a')).toMatchObject({ attempts: 0, epoch: 1, state: { at: 'ready' } });
    for (let i = 1; i < lossesAllowed; i++) {
      run.claim('a');
      run.do({ type: 'lose', stage: 'a', epoch: i + 1 });
      expect(run.at('a')).toBe('ready');
    }
    run.claim('a');
    run.do({ type: 'lose', stage: 'a', epoch: lossesAllowed + 1 });
    expect(run.now.stages.get('a')?.state).toMatchObject({ at: 'failed', error: { code: 'STAGE_CRASHED' } });
  });

  it('ignores what an older attempt says', () => {
    const run = runOf([stage('a', [])]);
    run.admit();
    run.claim('a');
    run.do({ type: 'lose', stage: 'a', epoch: 1 });
    run.claim('a');
    expect(run.succeed('a', 1)).toEqual([]);
    expect(run.fail('a', broken, 1)).toEqual([]);
    expect(run.do({ type: 'release', stage: 'a', epoch: 1 })).toEqual([]);
    expect(run.at('a')).toBe('running');
  });

  it('counts what was not selected as done', () => {
    const run = runOf([stage('a', []), stage('b', ['a'])], { a: output });
    run.admit();
    expect(run.at('b')).toBe('ready');
    run.claim('b');
    run.succeed('b');
    expect(run.now.state.at).toBe('succeeded');
  });

  it('goes on from what has failed when it is reopened, and from what was named', () => {
    const run = runOf([stage('a', []), stage('b', ['a']), stage('c', ['b'])]);
    run.admit();
    run.claim('a');
    run.succeed('a');
    run.claim('b');
    run.fail('b', broken);
    run.do({ type: 'reopen', from: [] });
    expect(run.now.state.at).toBe('queued');
    run.admit();
    expect([run.at('a'), run.at('b'), run.at('c')]).toEqual(['succeeded', 'ready', 'waiting']);
    run.claim('b');
    expect(run.now.stages.get('b')).toMatchObject({ epoch: 2, attempts: 1 });
    run.succeed('b');
    run.claim('c');
    run.succeed('c');
    expect(run.do({ type: 'reopen', from: [] })).toEqual([]);
    run.do({ type: 'reopen', from: ['b'] });
    expect(run.now.stages.get('a')?.state.at).toBe('succeeded');
    expect(run.now.stages.get('b')).toMatchObject({ redone: 1, epoch: 2, state: { at: 'waiting' } });
  });
});

describe('a stage that follows changes', () => {
  const retry = { attempts: 3, delayMs: 1000, maxDelayMs: 60_000 };
  const stream = () => {
    const run = runOf([stage('a', [], { kind: 'changes', retry })]);
    run.admit();
    return run;
  };
  const claimAt = (run: ReturnType<typeof stream>, at: Date) => run.do({ type: 'claim', stage: 'a', worker: 'w' }, at);
  const failAt = (run: ReturnType<typeof stream>, at: Date) =>
    run.do({ type: 'fail', stage: 'a', epoch: run.now.stages.get('a')?.epoch ?? 0, error: busy, random: 0.5 }, at);

  it('begins to count anew after an attempt that had run well for a minute', () => {
    const run = stream();
    run.claim('a');
    failAt(run, start);
    run.do({ type: 'wake' }, later(1));
    claimAt(run, later(1));
    failAt(run, later(1));
    expect(run.now.stages.get('a')).toMatchObject({ attempts: 2, state: { at: 'retrying', attempt: 2, next: '2026-03-29T00:01:01.000Z' } });
    for (let week = 0; week < 5; week++) {
      run.do({ type: 'wake' }, later(10_080 * week + 2));
      claimAt(run, later(10_080 * week + 2));
      failAt(run, later(10_080 * week + 10_000));
      expect(run.now.stages.get('a')).toMatchObject({ attempts: 1, state: { at: 'retrying', attempt: 1 } });
    }
    expect(evolve(run.first, run.log)).toEqual(run.now);
  });

  it('gives up after the attempts of its plan in a row', () => {
    const run = stream();
    for (let i = 0; i < retry.attempts; i++) {
      run.do({ type: 'wake' }, later(i));
      claimAt(run, later(i));
      failAt(run, later(i));
    }
    expect(run.now.state).toMatchObject({ at: 'failed', error: busy });
  });

  it('outlasts many losses of its worker, and forgets them once it has run well', () => {
    const run = stream();
    const loseAt = (at: Date) => run.do({ type: 'lose', stage: 'a', epoch: run.now.stages.get('a')?.epoch ?? 0 }, at);
    for (let i = 1; i < streamLossesAllowed; i++) {
      claimAt(run, start);
      loseAt(start);
    }
    expect(run.now.stages.get('a')).toMatchObject({ attempts: 0, losses: streamLossesAllowed - 1, state: { at: 'ready' } });
    claimAt(run, start);
    loseAt(later(2));
    expect(run.now.stages.get('a')).toMatchObject({ losses: 1, state: { at: 'ready' } });
    for (let i = 1; i < streamLossesAllowed; i++) {
      claimAt(run, later(3));
      loseAt(later(3));
    }
    expect(run.now.state).toMatchObject({ at: 'failed', error: { code: 'STAGE_CRASHED' } });
    expect(evolve(run.first, run.log)).toEqual(run.now);
  });

  it('ends where another run has fenced it off, since that one will not give way', () => {
    const run = stream();
    run.claim('a');
    run.fail('a', { ...broken, code: 'ATTEMPT_FENCED' });
    expect(run.now.state).toMatchObject({ at: 'failed', error: { code: 'ATTEMPT_FENCED' } });
  });
});

describe('a stage whose work a service does, when it gives up', () => {
  const retry = { attempts: 2, delayMs: 1, maxDelayMs: 1 };
  const remote = () => {
    const run = runOf([stage('a', [], { kind: 'remote', retry }), stage('b', [])]);
    run.admit();
    return run;
  };
  const again = (run: ReturnType<typeof remote>, error = busy) => {
    run.do({ type: 'wake' }, later(1));
    run.claim('a');
    run.fail('a', error);
  };
  const found = (run: ReturnType<typeof remote>, found: Extract<Command, { type: 'found' }>['found']) =>
    run.do({ type: 'found', stage: 'a', epoch: run.now.stages.get('a')?.epoch ?? 0, found, random: 0.5 });

  it('fails when nothing of it goes on any more, and holds the run until then', () => {
    const run = remote();
    again(run);
    again(run);
    expect(run.now.stages.get('a')).toMatchObject({ settled: 0, state: { at: 'elsewhere', epoch: 2, attempt: 2, ends: busy } });
    expect(run.do({ type: 'wake' }, later(9))).toEqual([]);
    run.claim('b');
    run.succeed('b');
    expect(run.now.state.at).toBe('running');
    found(run, { at: 'nothing' });
    expect(run.now.stages.get('a')).toMatchObject({ settled: 2, state: { at: 'failed', error: busy } });
    expect(run.now.state.at).toBe('failed');
    expect(evolve(run.first, run.log)).toEqual(run.now);
  });

  it('has succeeded where its work has', () => {
    const run = remote();
    again(run);
    again(run);
    found(run, { at: 'succeeded', output });
    expect(run.now.stages.get('a')).toMatchObject({ settled: 2, state: { at: 'succeeded' } });
  });

  it('fails at once where the only start there was has been refused', () => {
    const refused: StoredError = { ...busy, code: 'REMOTE_REFUSED' };
    const run = remote();
    again(run, refused);
    expect(run.now.stages.get('a')).toMatchObject({ settled: 1, state: { at: 'failed', error: refused } });
    const late = remote();
    again(late);
    again(late, refused);
    expect(late.now.stages.get('a')).toMatchObject({ settled: 0, state: { at: 'elsewhere', ends: refused } });
  });

  it('is cancelled with its run', () => {
    const run = remote();
    again(run);
    again(run);
    run.do({ type: 'cancel' });
    expect(run.at('a')).toBe('elsewhere');
    found(run, { at: 'failed', error: busy, over: true });
    expect(run.at('a')).toBe('cancelled');
    expect(run.now.state.at).toBe('cancelled');
  });
});

it('work that was left at a service is taken up again by a retry, and closed by one from a stage before it', () => {
  const leftOver = () => {
    const run = runOf([
      stage('a', []),
      stage('b', ['a'], { kind: 'remote', retry: { attempts: 1, delayMs: 1, maxDelayMs: 1 } }),
      stage('c', ['b']),
    ]);
    run.admit();
    run.claim('a');
    run.succeed('a');
    run.claim('b');
    run.do({ type: 'park', stage: 'b', epoch: 1 }, start);
    run.do({ type: 'found', stage: 'b', epoch: 1, found: { at: 'failed', error: busy, over: false }, random: 0.5 }, start);
    expect(run.now.stages.get('b')).toMatchObject({ settled: 0, epoch: 1, state: { at: 'failed' } });
    return run;
  };
  const settledAfter = (from: readonly string[]): number | undefined => {
    const run = leftOver();
    run.do({ type: 'reopen', from }, start);
    expect(evolve(run.first, run.log)).toEqual(run.now);
    return run.now.stages.get('b')?.settled;
  };
  expect([settledAfter([]), settledAfter(['b']), settledAfter(['a'])]).toEqual([0, 0, 1]);
});

it('finds everything downstream', () => {
  const made = planOf('p', [stage('a', []), stage('b', ['a']), stage('c', ['b']), stage('d', [])]);
  expect([...downstream(made, ['b'])]).toEqual(['b', 'c']);
});

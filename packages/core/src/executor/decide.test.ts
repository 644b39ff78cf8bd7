import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredError } from '../error/index.ts';
import type { Plan, PlanStage } from '../plan/index.ts';
import {
  evolve,
  isEnded,
  isFinal,
  newRun,
  type RunEvent,
  type RunRecord,
  type RunRequest,
  type StageOutput,
  type StoredEvent,
} from '../state/index.ts';
import { type Command, decide, isDone, lossesAllowed, streamLossesAllowed } from './decide.ts';
import { downstream } from './downstream.ts';

const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [1], notices: [], checks: [] };
const busy: StoredError = { code: 'CONNECTION_FAILED', message: 'away', remedy: 'wait', facts: {} };
const broken: StoredError = { code: 'FUNCTION_FAILED', message: 'broken', remedy: 'mend', facts: {} };
const start = new Date('2026-03-29T00:00:00Z');
const later = (minutes: number): Date => new Date(start.getTime() + minutes * 60_000);

function stage(id: string, needs: readonly string[], options: Partial<PlanStage> = {}): PlanStage {
  const retry = { attempts: 3, delayMs: 1000, maxDelayMs: 60_000 };
  const rest = { absorbed: [], read: null, write: null, whole: true, timeoutMs: null, onFailure: 'stop' } as const;
  return { id, kind: 'execute', steps: [id], needs, lane: 'server', reason: '', ...rest, retry, ...options };
}

const plan = (stages: readonly PlanStage[]): Plan => ({
  version: 1,
  pipeline: 'p',
  fingerprint: 'f',
  schedule: { kind: 'manual' },
  params: {},
  steps: [],
  stages,
  warnings: [],
});

function requestOf(omitted: RunRequest['omitted'] = {}): RunRequest {
  const when = { logicalTime: start.toISOString(), date: '2026-03-29', window: null };
  return { pipeline: 'p', ...when, params: {}, fullRefresh: false, omitted, file: null, idempotencyKey: null };
}

/** A run with its log, driven by commands. */
function runOf(stages: readonly PlanStage[], omitted: RunRequest['omitted'] = {}) {
  const first = newRun('r', requestOf(omitted), plan(stages), start.toISOString());
  const log: StoredEvent[] = [];
  const made = {
    first,
    log,
    now: first,
    do(command: Command, at = start): RunEvent[] {
      const events = decide(made.now, command, at);
      const stored = events.map((event, i) => ({ run: 'r', seq: made.now.seq + i + 1, at: at.toISOString(), event }));
      made.now = evolve(made.now, stored);
      log.push(...stored);
      return events;
    },
    at: (id: string) => made.now.stages.get(id)?.state.at,
    admit: () => made.do({ type: 'admit', rivals: [], limit: 1 }),
    claim: (id: string) => made.do({ type: 'claim', stage: id, worker: 'w' }),
    succeed: (id: string, epoch = made.now.stages.get(id)?.epoch ?? 0) => made.do({ type: 'succeed', stage: id, epoch, output }),
    fail: (id: string, error = broken, epoch = made.now.stages.get(id)?.epoch ?? 0) =>
      made.do({ type: 'fail', stage: id, epoch, error, random: 0.5 }),
  };
  return made;
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

const dag = fc
  .array(fc.record({ needs: fc.array(fc.nat(), { maxLength: 3 }), stop: fc.boolean() }), { minLength: 1, maxLength: 8 })
  .map((nodes) =>
    nodes.map(({ needs, stop }, i) => {
      const before = i === 0 ? [] : [...new Set(needs.map((need) => `s${need % i}`))];
      return stage(`s${i}`, before, { onFailure: stop ? 'stop' : 'continue', retry: { attempts: 2, delayMs: 1000, maxDelayMs: 1000 } });
    }),
  );

const move = fc.record({
  what: fc.constantFrom(
    'admit',
    'claim',
    'claim',
    'claim',
    'wake',
    'succeed',
    'succeed',
    'busy',
    'broken',
    'release',
    'lose',
    'cancel',
    'reopen',
  ),
  which: fc.nat(7),
  /** How many epochs too late it comes. */
  stale: fc.constantFrom(0, 0, 0, 1),
  twice: fc.boolean(),
});

function commandOf(run: RunRecord, { what, which, stale }: { what: string; which: number; stale: number }): Command {
  const id = `s${which % run.plan.stages.length}`;
  const epoch = (run.stages.get(id)?.epoch ?? 0) - stale;
  switch (what) {
    case 'admit':
      return { type: 'admit', rivals: [], limit: 1 };
    case 'claim':
      return { type: 'claim', stage: id, worker: 'w' };
    case 'succeed':
      return { type: 'succeed', stage: id, epoch, output };
    case 'busy':
    case 'broken':
      return { type: 'fail', stage: id, epoch, error: what === 'busy' ? busy : broken, random: 0.5 };
    case 'release':
    case 'lose':
      return { type: what, stage: id, epoch };
    case 'reopen':
      return { type: 'reopen', from: which < 4 ? [] : [id] };
    default:
      return { type: what as 'wake' | 'cancel' };
  }
}

describe('whatever happens, in whatever order, twice and too late', () => {
  it('keeps the rules', () => {
    fc.assert(
      fc.property(dag, fc.array(move, { maxLength: 60 }), (stages, moves) => {
        const run = runOf(stages);
        const started = new Set<string>();
        for (const [i, one] of moves.entries()) {
          const before = run.now;
          const command = commandOf(run.now, one);
          const events = run.do(command, later(i));
          if (one.twice && command.type !== 'claim' && command.type !== 'reopen') expect(run.do(command, later(i))).toEqual([]);
          checkStep(before, run.now, command, events);
          for (const event of events) if (event.type === 'stage.started') started.add(`${event.stage}:${event.epoch}`);
        }
        const starts = run.log.filter(({ event }) => event.type === 'stage.started');
        expect(started.size).toBe(starts.length);
        expect(run.log.map(({ seq }) => seq)).toEqual(run.log.map((_, i) => i + 1));
        expect(evolve(run.first, run.log)).toEqual(run.now);
      }),
      { numRuns: 1500 },
    );
  });

  it('comes to an end when every stage that is ready is run', () => {
    fc.assert(
      fc.property(dag, fc.array(fc.constantFrom('succeed', 'busy', 'broken', 'lose'), { minLength: 1, maxLength: 20 }), (stages, ends) => {
        const run = runOf(stages);
        run.admit();
        for (let i = 0; !isEnded(run.now.state); i++) {
          run.do({ type: 'wake' }, later(i));
          const ready = [...run.now.stages.values()].filter(({ state }) => state.at === 'ready');
          expect(ready.length).toBeGreaterThan(0);
          const { id } = ready[i % ready.length] as { id: string };
          run.claim(id);
          const what = ends[i % ends.length] as string;
          run.do(commandOf(run.now, { what, which: Number(id.slice(1)), stale: 0 }), later(i));
        }
        checkOutcome(run.now);
      }),
      { numRuns: 500 },
    );
  });
});

function checkStep(before: RunRecord, after: RunRecord, command: Command, events: readonly RunEvent[]): void {
  const reopened = command.type === 'reopen' ? new Set([...after.stages.keys()]) : new Set<string>();
  for (const [id, stage] of after.stages) {
    const was = before.stages.get(id);
    // Terminal once.
    if (was && isFinal(was.state) && !reopened.has(id)) expect(stage.state).toEqual(was.state);
    // Nothing before its inputs.
    const needs = after.plan.stages.find((candidate) => candidate.id === id)?.needs ?? [];
    if (['ready', 'running', 'retrying', 'succeeded', 'failed'].includes(stage.state.at)) {
      for (const need of needs) expect(isDone(after.stages.get(need) as never)).toBe(true);
    }
    // Epochs only grow.
    expect(stage.epoch).toBeGreaterThanOrEqual(was?.epoch ?? 0);
    expect(stage.attempts).toBeGreaterThanOrEqual(0);
  }
  // The run has ended if and only if all its stages have.
  const all = [...after.stages.values()].every(({ state }) => isFinal(state));
  expect(isEnded(after.state)).toBe(all);
  // Cancel absorbs: nothing starts after it.
  if (before.cancelRequestedAt !== null && command.type !== 'reopen') {
    expect(events.some(({ type }) => type === 'stage.started' || type === 'stage.ready')).toBe(false);
  }
  if (isEnded(after.state) && !isEnded(before.state)) checkOutcome(after);
}

function checkOutcome(run: RunRecord): void {
  const failed = run.plan.stages.filter(({ id }) => run.stages.get(id)?.state.at === 'failed');
  const states = [...run.stages.values()].map(({ state }) => state.at);
  if (states.every((state) => state === 'succeeded')) expect(run.state.at).toBe('succeeded');
  if (states.includes('cancelled')) expect(run.state.at).toBe('cancelled');
  else if (failed.some(({ onFailure }) => onFailure === 'stop')) expect(run.state.at).toBe('failed');
  else if (failed.length > 0) expect(run.state.at).toBe('partial');
}

it('finds everything downstream', () => {
  const made = plan([stage('a', []), stage('b', ['a']), stage('c', ['b']), stage('d', [])]);
  expect([...downstream(made, ['b'])]).toEqual(['b', 'c']);
});

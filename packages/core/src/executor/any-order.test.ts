import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { StoredError } from '../error/index.ts';
import type { PlanStage, StageLimit } from '../plan/index.ts';
import { evolve, type Found, isEnded, isFinal, type RunEvent, type RunRecord, type StageOutput, type StageRecord } from '../state/index.ts';
import { type DecidedRun, decidedRun } from '../testing/decided-run.ts';
import { stageOf } from '../testing/plans.ts';
import { type Command, isDone, lossesAllowed, streamLossesAllowed, streamRunsWell } from './decide.ts';
import { downstream } from './downstream.ts';
import { limitKey, type Room } from './limits.ts';
import { machineBegan, machineEnded, machineReached } from './machine.ts';

/*
 * Any DAG, any commands in any order, late ones and duplicates: what has to be true of every single step, and of the log as a whole. The
 * rules are said again here, as somebody would check them who has never seen `decide`.
 */

const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [1], notices: [], checks: [] };
const errorOf = (code: StoredError['code']): StoredError => ({ code, message: code, remedy: 'wait', facts: {} });
const start = new Date('2026-03-29T00:00:00Z');

const policy = { attempts: 3, delayMs: 1000, maxDelayMs: 1500 };
const pools = { narrow: 2 };
const connections = 2;
const limitsOf = (pool: boolean, shop: boolean): StageLimit[] => [
  ...(pool ? [{ kind: 'pool', name: 'narrow', most: null } as const] : []),
  ...(shop ? [{ kind: 'connections', name: 'shop', most: 4 } as const] : []),
];

/** Any graph of up to seven stages, and which of them a run leaves out; the last takes part. */
const scene = fc
  .array(
    fc.record({
      needs: fc.array(fc.nat(), { maxLength: 3 }),
      stop: fc.boolean(),
      kind: fc.constantFrom('execute', 'changes', 'remote'),
      pool: fc.boolean(),
      shop: fc.boolean(),
      omitted: fc.constantFrom(false, false, false, true),
    }),
    { minLength: 1, maxLength: 7, size: 'max' },
  )
  .map((nodes) => {
    const stages = nodes.map(({ needs, stop, kind, pool, shop }, i) =>
      stageOf(`s${i}`, i === 0 ? [] : [...new Set(needs.map((need) => `s${need % i}`))], {
        kind,
        onFailure: stop ? 'stop' : 'continue',
        retry: policy,
        limits: limitsOf(pool, shop),
      }),
    );
    return { stages, omitted: Object.fromEntries(nodes.slice(0, -1).flatMap(({ omitted }, i) => (omitted ? [[`s${i}`, output]] : []))) };
  });

/** What looks at work elsewhere find. */
const looks = ['found done', 'found interrupted', 'found broken', 'found unknown', 'found nothing'] as const;

const move = fc.record({
  what: fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom('cancel', 'reopen', 'crowded') },
    { weight: 2, arbitrary: fc.constantFrom('broken', 'fenced', 'gone', 'repeat', 'interrupted', 'refused') },
    { weight: 4, arbitrary: fc.constantFrom('admit', 'wake', 'due', 'succeed', 'busy', 'release', 'lose', 'park', ...looks) },
    { weight: 14, arbitrary: fc.constant('claim') },
  ),
  /** Of the stages to which it can be done, mostly. */
  apt: fc.constantFrom(true, true, true, false),
  which: fc.nat(1000),
  /** How many epochs too late it comes. */
  stale: fc.constantFrom(0, 0, 0, 0, 1, 2),
  /** Milliseconds since the one before. */
  after: fc.constantFrom(0, 100, 400, 800, 2_000, streamRunsWell),
  /** Some of them make pauses that end exactly when one of the times above has passed. */
  random: fc.constantFrom(0, 0.1, 0.4, 0.5, 0.999),
  /** What other runs use of the limits. */
  others: fc.record({ pool: fc.nat(2), shop: fc.nat(4) }),
});
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;

function commandOf({ now, first }: DecidedRun, past: readonly Command[], { what, apt, which, stale, random, others }: Move): Command {
  const all = [...now.stages.values()];
  const wanted = what === 'claim' ? 'ready' : what === 'due' ? 'retrying' : what.startsWith('found') ? 'elsewhere' : 'running';
  const suited = all.filter(({ state }) => state.at === wanted);
  const choice = apt && suited.length > 0 ? suited : all;
  const { id: stage, epoch: newest } = choice[which % choice.length] as StageRecord;
  const epoch = newest - stale;
  switch (what) {
    case 'repeat':
      return past[which % Math.max(1, past.length)] ?? { type: 'wake' };
    case 'admit':
      return { type: 'admit', rivals: [], limit: 1 };
    case 'crowded':
      return { type: 'admit', rivals: [{ run: 'other', abandoned: which % 2 === 0 }], limit: 1 };
    case 'claim':
      return { type: 'claim', stage, worker: 'w', room: roomFor(now, others) };
    case 'succeed':
      return { type: 'succeed', stage, epoch, output };
    case 'release':
    case 'lose':
    case 'park':
      return { type: what, stage, epoch };
    case 'found done':
    case 'found interrupted':
    case 'found broken':
    case 'found unknown':
    case 'found nothing':
      return { type: 'found', stage, epoch, found: foundOf(what), random };
    case 'reopen':
      return { type: 'reopen', from: which % 2 === 0 ? [] : [(first.plan.stages[which % first.plan.stages.length] as PlanStage).id] };
    case 'due':
      return { type: 'due', stage };
    case 'wake':
    case 'cancel':
      return { type: what };
    default: {
      const code = {
        busy: 'CONNECTION_FAILED',
        broken: 'FUNCTION_FAILED',
        fenced: 'ATTEMPT_FENCED',
        gone: 'LEASE_LOST',
        interrupted: 'REMOTE_INTERRUPTED',
        refused: 'REMOTE_REFUSED',
      } as const;
      return { type: 'fail', stage, epoch, error: errorOf(code[what as keyof typeof code]), random };
    }
  }
}

function foundOf(what: (typeof looks)[number]): Found {
  switch (what) {
    case 'found done':
      return { at: 'succeeded', output };
    case 'found nothing':
      return { at: 'nothing' };
    case 'found unknown':
      return { at: 'failed', error: errorOf('ACCESS_DENIED'), over: false };
    default:
      return { at: 'failed', error: errorOf(what === 'found broken' ? 'REMOTE_FAILED' : 'REMOTE_INTERRUPTED'), over: true };
  }
}

const running = (run: RunRecord) =>
  [...run.stages.values()].flatMap(({ id, state }) => (state.at === 'running' || state.at === 'elsewhere' ? [{ id, ...state }] : []));

function roomFor(run: RunRecord, others: { readonly pool: number; readonly shop: number }): Room {
  const used = new Map([
    ['pool narrow', others.pool],
    ['connections shop', others.shop],
  ]);
  for (const { grants = {} } of running(run))
    for (const [key, count] of Object.entries(grants)) used.set(key, (used.get(key) ?? 0) + count);
  return { used, pools, connections };
}

describe('whatever happens, in whatever order, twice and too late', () => {
  it('every step keeps the rules, and the log gives the state', { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(scene, fc.array(move, { minLength: 10, maxLength: 90, size: 'max' }), ({ stages, omitted }, moves) => {
        const run = decidedRun(stages, start, omitted);
        const past: Command[] = [];
        let at = start;
        for (const one of moves) {
          at = new Date(at.getTime() + one.after);
          const before = run.now;
          const command = commandOf(run, past, one);
          past.push(command);
          const events = run.do(command, at);
          checkStep(before, run.now, command, events, at);
          assert.deepEqual(run.do(command, at), [], 'the same again changes nothing');
        }
        checkLog(run);
      }),
      { numRuns: 600 },
    );
  });

  it('a run comes to its end when every stage that is ready is run, however that ends', { timeout: 120_000 }, () => {
    const ends = fc.array(fc.constantFrom('succeed', 'busy', 'broken', 'fenced', 'gone', 'lose', 'park', 'interrupted'), {
      minLength: 1,
      maxLength: 20,
      size: 'max',
    });
    fc.assert(
      fc.property(scene, ends, ({ stages, omitted }, hows) => {
        const run = decidedRun(stages, start, omitted);
        run.do({ type: 'admit', rivals: [], limit: 1 }, start);
        for (let i = 0; !isEnded(run.now.state); i++) {
          const at = new Date(start.getTime() + i * 2_000);
          run.do({ type: 'wake' }, at);
          for (const { id, state, epoch } of run.now.stages.values()) {
            if (state.at !== 'elsewhere') continue;
            const left = isStopped(run.now) ? 'found nothing' : 'found done';
            const found = foundOf(i % 3 === 0 ? 'found interrupted' : i % 3 === 1 ? 'found broken' : left);
            run.do({ type: 'found', stage: id, epoch, found, random: 0.5 }, at);
          }
          if (isEnded(run.now.state)) break;
          const ready = [...run.now.stages.values()].filter(({ state }) => state.at === 'ready');
          const waits = [...run.now.stages.values()].some(({ state }) => state.at === 'retrying' || state.at === 'elsewhere');
          if (ready.length === 0 && waits) continue;
          const { id } = ready[i % ready.length] ?? assert.fail('nothing is ready, and the run has not ended');
          run.do({ type: 'claim', stage: id, worker: 'w', room: roomFor(run.now, { pool: 0, shop: 0 }) }, at);
          const how = hows[i % hows.length] as Move['what'];
          const ofService = stages.find((stage) => stage.id === id)?.kind === 'remote';
          const what = how === 'park' && !ofService ? 'succeed' : how;
          const which = [...run.now.stages.keys()].indexOf(id);
          const command = commandOf(run, [], { what, apt: false, which, stale: 0, after: 0, random: 0.5, others: { pool: 0, shop: 0 } });
          run.do(command, at);
        }
        checkOutcome(run.now);
        checkLog(run);
      }),
      { numRuns: 500 },
    );
  });

  it('what a machine has done by itself is over when it comes to what follows, however much of it was seen', { timeout: 120_000 }, () => {
    const happens = ['begins', 'is interrupted', 'begins', 'is interrupted', 'begins', 'is done'] as const;
    const native = fc.record({ needs: fc.array(fc.nat(), { maxLength: 3 }), stop: fc.boolean(), seen: fc.nat(happens.length) });
    fc.assert(
      fc.property(fc.array(native, { minLength: 1, maxLength: 6, size: 'max' }), (natives) => {
        const job = { kind: 'remote', retry: policy } as const;
        const stages = natives.map(({ needs, stop }, i) =>
          stageOf(`s${i}`, i === 0 ? [] : [...new Set(needs.map((need) => `s${need % i}`))], {
            ...job,
            onFailure: stop ? 'stop' : 'continue',
          }),
        );
        const last = stageOf(
          'last',
          stages.map(({ id }) => id),
        );
        const run = decidedRun([...stages, last], start);
        for (const [i, { seen }] of natives.entries())
          for (const what of happens.slice(0, seen)) {
            const found = foundOf(what === 'is done' ? 'found done' : 'found interrupted');
            const events =
              what === 'begins'
                ? machineBegan(run.now, `s${i}`, start)
                : machineEnded(run.now, `s${i}`, found as Exclude<Found, { at: 'nothing' }>, start);
            run.take(events, start);
          }
        run.take(machineReached(run.now, 'last', new Set(), start), start);
        for (const { id } of stages) assert.equal(stateOf(run.now, id).at, 'succeeded');
        assert.equal(stateOf(run.now, 'last').at, 'ready');
        assert.deepEqual(machineReached(run.now, 'last', new Set(), start), []);
        checkLog(run);
      }),
      { numRuns: 300 },
    );
  });
});

function checkStep(before: RunRecord, after: RunRecord, command: Command, events: readonly RunEvent[], now: Date): void {
  const reopened = events.find(({ type }) => type === 'run.reopened');
  const begun = new Set(reopened?.type === 'run.reopened' ? reopened.stages : []);
  if (reopened?.type === 'run.reopened' && command.type === 'reopen') checkReopened(before, after, command.from, reopened);
  if (isEnded(before.state) && !reopened) assert.deepEqual(events, [], 'a run that has ended stays so');
  checkCommand(before, after, command, events, now);

  const stopped = isStopped(after);
  for (const { id, needs, kind } of after.plan.stages) {
    const was = before.stages.get(id) as StageRecord;
    const is = after.stages.get(id) as StageRecord;
    const inputs = needs.map((need) => after.stages.get(need) as StageRecord);
    if (isFinal(was.state) && !begun.has(id)) assert.deepEqual(is.state, was.state, `${id} ends once`);
    if (['ready', 'running', 'elsewhere', 'retrying', 'succeeded', 'failed'].includes(is.state.at))
      assert(inputs.every(isDone), `${id} comes after its inputs`);
    if (is.state.at === 'waiting' && after.state.at === 'running') {
      assert(!inputs.every(isDone), `${id} begins as soon as its inputs are there`);
      assert(!inputs.some((input) => isFinal(input.state) && !isDone(input)), `${id} does not wait for what will never be`);
    }
    if (stopped || after.cancelRequestedAt !== null)
      assert(!['waiting', 'ready', 'retrying'].includes(is.state.at), `${id} does not begin any more`);
    if (is.state.at === 'skipped') checkSkipped(after, id, needs);
    assert.equal(is.epoch - was.epoch, events.filter((event) => event.type === 'stage.started' && event.stage === id).length);
    assert(is.attempts >= 0 && is.attempts <= policy.attempts);
    assert(is.settled >= was.settled && is.settled <= is.epoch);
    if (kind === 'remote' && is.state.at === 'succeeded') assert.equal(is.settled, is.epoch);
    if (kind !== 'remote') assert(is.settled === 0 && is.state.at !== 'elsewhere');
    assert(is.losses >= 0 && is.losses < (kind === 'changes' ? streamLossesAllowed : lossesAllowed));
  }
  const over = [...after.stages.values()].every(({ state }) => isFinal(state));
  assert.equal(isEnded(after.state), over, 'the run has ended when all its stages have');
  if (isEnded(after.state) && !isEnded(before.state)) checkOutcome(after);
}

const isStopped = (run: RunRecord): boolean =>
  run.plan.stages.some(({ id, onFailure }) => onFailure === 'stop' && stateOf(run, id).at === 'failed');

const stateOf = (run: RunRecord, id: string) => (run.stages.get(id) as StageRecord).state;

function checkCommand(before: RunRecord, after: RunRecord, command: Command, events: readonly RunEvent[], now: Date): void {
  switch (command.type) {
    case 'admit':
      if (before.state.at === 'queued') assert.equal(after.state.at === 'queued', command.rivals.length >= command.limit);
      if (after.state.at === 'queued' && command.rivals.length > 0) assert.match(after.state.because ?? '', /run other/);
      return;
    case 'claim': {
      const { limits = [] } = after.plan.stages.find(({ id }) => id === command.stage) as PlanStage;
      const open = before.state.at === 'running' && stateOf(before, command.stage).at === 'ready';
      const left = (limit: StageLimit) => (limit.most ?? pools.narrow) - (command.room?.used.get(limitKey(limit)) ?? 0);
      const room = limits.every((limit) => left(limit) >= (limit.kind === 'pool' ? 1 : 2));
      const state = stateOf(after, command.stage);
      if (!open || !room) return assert.deepEqual(events, []);
      assert(state.at === 'running');
      const granted = limits.map((limit) => [limitKey(limit), limit.kind === 'pool' ? 1 : Math.min(connections + 1, left(limit))]);
      return assert.deepEqual(state.grants ?? {}, Object.fromEntries(granted));
    }
    case 'wake':
      for (const { id, state } of before.stages.values())
        if (state.at === 'retrying') assert.equal(stateOf(after, id).at === 'ready', Date.parse(state.next) <= now.getTime());
      return;
    case 'due': {
      const { at } = stateOf(before, command.stage);
      if (at !== 'retrying') return assert.deepEqual(events, [], 'only a pause can be over');
      return assert.equal(stateOf(after, command.stage).at, 'ready');
    }
    case 'cancel':
      if (!isEnded(before.state)) assert.notEqual(after.cancelRequestedAt, null);
      return;
    case 'reopen':
      return assert(!isEnded(before.state) || events.length === 0 || after.state.at === 'queued');
    case 'found': {
      const state = stateOf(before, command.stage);
      if (state.at !== 'elsewhere' || state.epoch !== command.epoch)
        return assert.deepEqual(events, [], 'a look of another time has no say');
      return checkLook(before, after, command);
    }
    default: {
      const state = stateOf(before, command.stage);
      if (state.at !== 'running' || state.epoch !== command.epoch) return assert.deepEqual(events, [], 'an older attempt has no say');
      return checkAttempt(before, after, command, now);
    }
  }
}

/** Somebody has looked at work elsewhere. */
function checkLook(before: RunRecord, after: RunRecord, { stage, found }: Extract<Command, { type: 'found' }>): void {
  const was = before.stages.get(stage) as StageRecord;
  const is = after.stages.get(stage) as StageRecord;
  assert(was.state.at === 'elsewhere');
  const { ends } = was.state;
  const over = found.at !== 'failed' || found.over;
  assert.equal(is.settled, over ? was.epoch : was.settled, 'what is over is known to be');
  if (found.at === 'succeeded') return assert.equal(is.state.at, 'succeeded');
  if (before.cancelRequestedAt !== null) return assert.equal(is.state.at, 'cancelled');
  if (ends) {
    assert(is.state.at === 'failed', 'what has given up is not begun again');
    return assert.deepEqual(is.state.error, found.at === 'failed' ? found.error : ends);
  }
  const stopped = isStopped(before);
  if (found.at === 'nothing') return assert.equal(is.state.at, stopped ? 'skipped' : 'ready');
  const again = found.over && found.error.code === 'REMOTE_INTERRUPTED' && was.attempts < policy.attempts;
  assert.equal(is.state.at, !again ? 'failed' : stopped ? 'skipped' : 'retrying');
}

/** The attempt that runs has come to an end. */
function checkAttempt(before: RunRecord, after: RunRecord, command: Extract<Command, { epoch: number }>, now: Date): void {
  const was = before.stages.get(command.stage) as StageRecord;
  const is = after.stages.get(command.stage) as StageRecord;
  const { kind } = after.plan.stages.find(({ id }) => id === command.stage) as PlanStage;
  assert(was.state.at === 'running');
  if (command.type === 'succeed') return assert.equal(is.state.at, 'succeeded');
  if (command.type === 'park') return assert.equal(is.state.at, kind === 'remote' ? 'elsewhere' : 'running');
  const refused = command.type === 'fail' && command.error.code === 'REMOTE_REFUSED';
  const interrupted = command.type === 'fail' && command.error.code === 'REMOTE_INTERRUPTED';
  // A refusal says nothing of what an earlier attempt has started.
  const left = kind === 'remote' && !interrupted && !(refused && was.epoch === was.settled + 1);
  if (before.cancelRequestedAt !== null) return assert.equal(is.state.at, left ? 'elsewhere' : 'cancelled');
  const stopped = isStopped(before);
  const ranWell = kind === 'changes' && now.getTime() - Date.parse(was.state.since) >= streamRunsWell;
  const waits = (at: 'ready' | 'retrying') => assert.equal(is.state.at, !stopped ? at : left ? 'elsewhere' : 'skipped');
  const gaveUp = (code: string): void => {
    if (left) return assert(is.state.at === 'elsewhere' && is.state.ends?.code === code && is.settled === was.settled);
    assert(is.state.at === 'failed' && is.state.error.code === code);
  };
  if (command.type === 'release') {
    assert.deepEqual({ attempts: is.attempts, losses: is.losses }, { attempts: was.attempts - 1, losses: 0 });
    return waits('ready');
  }
  const code = command.type === 'fail' ? command.error.code : 'LEASE_LOST';
  if (code === 'LEASE_LOST' || (code === 'ATTEMPT_FENCED' && kind !== 'changes')) {
    const allowed = kind === 'changes' ? streamLossesAllowed : lossesAllowed;
    if (!ranWell && was.losses + 1 >= allowed) return gaveUp('STAGE_CRASHED');
    assert.deepEqual({ attempts: is.attempts, losses: is.losses }, { attempts: was.attempts - 1, losses: ranWell ? 1 : was.losses + 1 });
    return waits('ready');
  }
  const counted = ranWell ? 1 : was.attempts;
  if (!['CONNECTION_FAILED', 'REMOTE_INTERRUPTED'].includes(code) || counted >= policy.attempts) return gaveUp(code);
  waits('retrying');
  if (is.state.at !== 'retrying') return;
  assert.deepEqual({ attempts: is.attempts, losses: is.losses }, { attempts: counted, losses: 0 });
  const pause = Date.parse(is.state.next) - now.getTime();
  assert(pause >= 0 && pause <= Math.min(policy.maxDelayMs, policy.delayMs * 2 ** (counted - 1)));
}

function checkSkipped(run: RunRecord, id: string, needs: readonly string[]): void {
  const state = stateOf(run, id);
  if (state.at !== 'skipped' || state.because.kind === 'not-selected') return;
  const cause = run.stages.get(state.because.stage) as StageRecord;
  if (state.because.kind === 'stopped') assert.equal(cause.state.at, 'failed');
  else assert(needs.includes(cause.id) && isFinal(cause.state) && !isDone(cause));
}

function checkReopened(
  before: RunRecord,
  after: RunRecord,
  from: readonly string[],
  event: Extract<RunEvent, { type: 'run.reopened' }>,
): void {
  const again = downstream(before.plan, from);
  assert(isEnded(before.state) && after.cancelRequestedAt === null);
  for (const { id, state, redone, epoch, settled } of before.stages.values()) {
    const omitted = state.at === 'skipped' && state.because.kind === 'not-selected';
    const begins = !omitted && (state.at !== 'succeeded' || again.has(id));
    assert.equal(event.stages.includes(id), begins);
    const is = after.stages.get(id) as StageRecord;
    assert.equal(is.epoch, epoch);
    assert.equal(is.redone, state.at === 'succeeded' && begins ? redone + 1 : redone);
    const { kind } = before.plan.stages.find((stage) => stage.id === id) as PlanStage;
    const isBehind = state.at !== 'succeeded' && downstream(before.plan, event.redone).has(id);
    assert.equal(is.settled, kind === 'remote' && begins && isBehind ? epoch : settled, 'what was begun for something else is closed');
    if (begins) assert.deepEqual({ attempts: is.attempts, losses: is.losses, at: is.state.at }, { attempts: 0, losses: 0, at: 'waiting' });
  }
}

function checkOutcome(run: RunRecord): void {
  const failed = run.plan.stages.filter(({ id }) => stateOf(run, id).at === 'failed');
  const cancelled = [...run.stages.values()].some(({ state }) => state.at === 'cancelled');
  const fatal = failed.find(({ onFailure }) => onFailure === 'stop') ?? failed[0];
  const outcome = cancelled ? 'cancelled' : fatal === undefined ? 'succeeded' : fatal.onFailure === 'stop' ? 'failed' : 'partial';
  assert.equal(run.state.at, outcome);
  if (run.state.at !== 'failed' && run.state.at !== 'partial') return;
  const because = stateOf(run, (fatal as PlanStage).id);
  assert.deepEqual(run.state.error, because.at === 'failed' && because.error);
}

/** Read by somebody who knows nothing but the log. */
function checkLog({ first, now, log }: DecidedRun): void {
  assert.deepEqual(
    log.map(({ seq }) => seq),
    log.map((_, i) => i + 1),
  );
  // As it comes back from a store, in two parts.
  const stored = JSON.parse(JSON.stringify(log)) as typeof log;
  const middle = Math.floor(stored.length / 2);
  assert.deepEqual(evolve(evolve(first, stored.slice(0, middle)), stored.slice(middle)), now);

  const epochs = new Map<string, number>();
  const ended = new Map<string, string>();
  let runEnds = 0;
  for (const { event } of log) {
    switch (event.type) {
      case 'run.reopened':
        for (const id of event.stages) ended.delete(id);
        runEnds = 0;
        break;
      case 'run.succeeded':
      case 'run.partial':
      case 'run.failed':
      case 'run.cancelled':
        assert.equal(++runEnds, 1, 'a run ends once');
        break;
      case 'stage.started': {
        const { needs } = first.plan.stages.find(({ id }) => id === event.stage) as PlanStage;
        for (const need of needs) assert(isDone(first.stages.get(need) as StageRecord) || ended.get(need) === 'stage.succeeded');
        assert.equal(event.epoch, (epochs.get(event.stage) ?? 0) + 1);
        epochs.set(event.stage, event.epoch);
        assert(!ended.has(event.stage) && runEnds === 0);
        break;
      }
      case 'stage.succeeded':
      case 'stage.failed':
      case 'stage.cancelled':
      case 'stage.skipped':
        assert(!ended.has(event.stage), `${event.stage} ends once`);
        ended.set(event.stage, event.type);
        break;
      default:
    }
  }
}

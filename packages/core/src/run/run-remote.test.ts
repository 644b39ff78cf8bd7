import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pipeline, remote, run as runValues, type StepOptions } from '../author/index.ts';
import { watchFailpoints } from '../connector/failpoint.ts';
import { MillraceError, type StoredError } from '../error/index.ts';
import { type Command, decide } from '../executor/index.ts';
import { compile, type PlanStage } from '../plan/index.ts';
import { isEnded, memoryStore, type RemoteLook } from '../state/index.ts';
import { testContext } from '../testing/context.ts';
import { MemoryService, type MemoryServiceOptions, throttled } from '../testing/memory-service.ts';
import { requestFor } from '../testing/plans.ts';
import { storeFailure } from './failure.ts';
import { failedLook, lookPause, requestId } from './run-remote.ts';
import { beginStage, lookStage, runStage } from './run-stage.ts';
import type { StageJob, StagePorts } from './stage-job.ts';

class Died extends Error {}

const cancelled: StoredError = { code: 'RUN_CANCELLED', message: 'cancelled', remedy: 'none', facts: {} };
const done = { at: 'succeeded', output: { rows: 7 } } as const;

/** One remote stage, a service and a store; whoever works may die at any failpoint. */
async function world(options: MemoryServiceOptions = {}, step: StepOptions = {}) {
  let clock = Date.parse('2026-03-29T00:00:00Z');
  let dieAt: string | undefined;
  const service = new MemoryService(options);
  const made = pipeline({ name: 'p', steps: { job: remote(service.task(), { Date: runValues.date }, step) } });
  const plan = compile(made);
  const stage = plan.stages[0] as PlanStage;
  const store = memoryStore(() => new Date(clock));
  await store.register({ id: 'w', label: 'w', leaseMs: 60_000 });
  const id = '20260329T000000-aaaaaa';
  await store.create({ id, request: requestFor('p'), plan, queue: 'q' });
  const obey = (command: Command) => store.transition(id, (record, now) => decide(record, command, now));
  const stateOf = async () => (await store.read(id)).stages.get('job')?.state;
  const context = testContext();
  const facts = { ...context.run, id };
  const jobOf = (epoch: number): StageJob => ({
    run: facts,
    runAt: '',
    fullRefresh: false,
    stage,
    epoch,
    redone: 0,
    files: {},
    earlier: { plan: null, parts: [] },
    concurrency: 1,
    memoryBudget: 1,
  });
  const portsOf = (epoch: number, signal = context.signal): StagePorts => ({
    ...context,
    signal,
    progress: () => {},
    storePlan: async () => {},
    storePart: async () => {},
    forgetParts: async () => {},
    remote: {
      intend: () => store.remote.intend({ run: id, stage: 'job', epoch, worker: 'w' }),
      started: (work, handle, firstLookMs) => store.remote.started({ run: id, stage: 'job' }, work, handle, firstLookMs),
    },
  });
  const mortal = async <T>(act: () => Promise<T>): Promise<T> => {
    using _watch = watchFailpoints((point) => {
      if (point !== dieAt) return;
      dieAt = undefined;
      throw new Died(point);
    });
    return await act();
  };
  const claim = async (): Promise<number> => {
    await obey({ type: 'admit', rivals: [], limit: 1 } as Command);
    await obey({ type: 'wake' });
    await obey({ type: 'claim', stage: 'job', worker: 'w' });
    return (await store.read(id)).stages.get('job')?.epoch ?? 0;
  };
  const world = {
    service,
    store,
    made,
    jobOf,
    portsOf,
    claim,
    obey,
    stateOf,
    run: () => store.read(id),
    pass: (ms: number) => {
      clock += ms;
    },
    dieAt: (point: string) => {
      dieAt = point;
    },
    /** An attempt as a worker makes it: what kills it is told as a lost lease. */
    async attempt(epoch?: number): Promise<void> {
      const own = epoch ?? (await claim());
      try {
        const begun = await mortal(() => beginStage(jobOf(own), made, portsOf(own)));
        await obey(
          begun.at === 'ended'
            ? { type: 'succeed', stage: 'job', epoch: own, output: begun.output }
            : { type: 'park', stage: 'job', epoch: own },
        );
      } catch (error) {
        await obey(
          error instanceof Died
            ? { type: 'lose', stage: 'job', epoch: own }
            : { type: 'fail', stage: 'job', epoch: own, error: storeFailure(error), random: 0 },
        );
      }
    },
    /** Takes what is due and looks; answers how many it were. */
    async look(): Promise<number> {
      const { looks } = await store.remote.looks('q', 'w', 10);
      for (const look of looks) await world.see(look);
      return looks.length;
    },
    async see(look: RemoteLook): Promise<void> {
      const state = await stateOf();
      const end = look.cancelled
        ? cancelled
        : state?.at === 'elsewhere' && state.ends
          ? state.ends
          : stage.timeoutMs !== null && look.ageMs >= stage.timeoutMs
            ? { ...cancelled, code: 'STAGE_TIMEOUT' as const }
            : null;
      const asked = { work: look.work, intended: look.intended, handle: look.handle, endingMs: look.endingMs, end };
      const looked = await mortal(() => lookStage(jobOf(look.epoch), asked, made, portsOf(look.epoch))).catch((error: unknown) => {
        if (error instanceof Died) return undefined;
        return failedLook(storeFailure(error), asked);
      });
      if (!looked) return;
      if (looked.at === 'running' || looked.at === 'unanswered') {
        const [status, handle] = looked.at === 'running' ? [looked.status, looked.handle] : [looked.error.code, look.handle];
        return store.remote.seen(look, { status, progress: null, handle, ending: end !== null, nextMs: 10 });
      }
      await obey({ type: 'found', stage: 'job', epoch: look.epoch, found: looked, random: 0 });
    },
  };
  return world;
}

const beforeHandle = ['engine.remote.intended', 'engine.remote.started'] as const;

describe('work elsewhere', () => {
  it('is started, watched, and ends with what the service says', async () => {
    const { service, attempt, look, pass, stateOf, run } = await world();
    await attempt();
    expect(await stateOf()).toMatchObject({ at: 'elsewhere', attempt: 1, epoch: 1, worker: 'w' });
    expect(service.works).toMatchObject([
      { request: { id: expect.stringMatching(/^20260329T000000-aaaaaa-job-[0-9a-f]{10}-0$/), parameters: { Date: '2026-03-29' } } },
    ]);
    expect(await look()).toBe(0);
    pass(10);
    expect(await look()).toBe(1);
    expect(await stateOf()).toMatchObject({ at: 'elsewhere' });
    service.end(done);
    pass(10);
    await look();
    expect(await stateOf()).toMatchObject({
      at: 'succeeded',
      output: { kind: 'remote', label: 'Memory job', handle: { id: 'work-1' }, output: { rows: 7 } },
    });
    expect((await run()).state.at).toBe('succeeded');
    expect(service.calls).toEqual(['start', 'poll', 'poll']);
  });

  it('has an answer at once where the service answers when it is done', async () => {
    const { service, attempt, stateOf } = await world({ watched: false });
    await attempt();
    expect(await stateOf()).toMatchObject({ at: 'succeeded', output: { output: { said: 'done' } } });
    expect(service.calls).toEqual(['start', 'poll']);
  });

  it.each(beforeHandle)('is not started again by the attempt after one that died at %s', async (point) => {
    for (const remembers of ['token', 'asked'] as const) {
      const { service, attempt, dieAt, stateOf } = await world({ remembers });
      dieAt(point);
      await attempt();
      expect(await stateOf()).toMatchObject({ at: 'ready' });
      await attempt();
      expect(await stateOf()).toMatchObject({ at: 'elsewhere', epoch: 2 });
      expect(service.works).toHaveLength(1);
      // It asks before it starts.
      expect(service.calls.indexOf('adopt')).toBe(point === 'engine.remote.intended' ? 0 : 1);
    }
  });

  it.each(beforeHandle)('of which its service tells no more is not started again unasked, after one that died at %s', async (point) => {
    const { service, attempt, dieAt, stateOf, pass, obey } = await world({ tellsForMs: 3_600_000 });
    dieAt(point);
    await attempt();
    const works = service.works.length;
    service.forgetful = true;
    pass(3 * 3_600_000);
    await attempt();
    expect(await stateOf()).toMatchObject({
      at: 'failed',
      error: { code: 'REMOTE_FAILED', message: expect.stringContaining('3 hours ago') },
    });
    expect(service.works).toHaveLength(works);
    // Somebody has looked.
    await obey({ type: 'reopen', from: [] });
    await attempt();
    expect(await stateOf()).toMatchObject({ at: 'elsewhere' });
    expect(service.works).toHaveLength(works + 1);
  });

  it('is started again where its service would tell of it, and does not', async () => {
    const { service, attempt, dieAt, stateOf, pass } = await world({ tellsForMs: 3_600_000 });
    dieAt('engine.remote.intended');
    await attempt();
    pass(3_000_000);
    await attempt();
    expect(await stateOf()).toMatchObject({ at: 'elsewhere' });
    expect(service.works).toHaveLength(1);
  });

  it('is not even asked for once its handle is known', async () => {
    const { service, attempt, dieAt, stateOf } = await world({ remembers: 'nothing' });
    dieAt('engine.remote.recorded');
    await attempt();
    await attempt();
    expect(await stateOf()).toMatchObject({ at: 'elsewhere', epoch: 2 });
    expect(service.calls).toEqual(['start']);
  });

  it('keeps its request over refusals that pass, and asks the service in between', async () => {
    let refusals = 2;
    const { service, attempt, stateOf } = await world({
      remembers: 'asked',
      at: (call, when) => {
        if (call === 'start' && when === 'after' && refusals-- > 0) throw throttled();
      },
    });
    await attempt();
    expect(await stateOf()).toMatchObject({ at: 'retrying', error: { code: 'REMOTE_THROTTLED' } });
    await attempt();
    expect(await stateOf()).toMatchObject({ at: 'elsewhere' });
    expect(service.works).toHaveLength(1);
    expect(service.calls).toEqual(['start', 'adopt']);
  });

  it('that was interrupted is started again under another request; that failed is not', async () => {
    const { service, attempt, look, pass, stateOf } = await world();
    await attempt();
    service.end({ at: 'failed', reason: 'no capacity', again: true });
    pass(10);
    await look();
    expect(await stateOf()).toMatchObject({
      at: 'retrying',
      error: { code: 'REMOTE_INTERRUPTED', message: expect.stringContaining('no capacity') },
    });
    await attempt();
    expect(service.works.map(({ request }) => request.id.slice(-2))).toEqual(['-0', '-1']);
    service.end({ at: 'failed', reason: 'a bug', again: false });
    pass(10);
    await look();
    expect(await stateOf()).toMatchObject({
      at: 'failed',
      error: {
        code: 'REMOTE_FAILED',
        message: 'Memory job (work-2) ended without success: a bug',
        remedy: expect.stringContaining('memory:work-2'),
      },
    });
  });

  it('goes on where its service is away for a while, and where a person retries after it could not be asked any more', async () => {
    let refusal: MillraceError | undefined;
    const { service, attempt, look, pass, stateOf, obey } = await world({
      at: (call) => {
        if (call === 'poll' && refusal) throw refusal;
      },
    });
    await attempt();
    refusal = throttled();
    pass(10);
    expect(await look()).toBe(1);
    expect(await stateOf()).toMatchObject({ at: 'elsewhere' });
    refusal = new MillraceError('ACCESS_DENIED', { message: 'glue:GetJobRun', remedy: 'Grant it.' });
    pass(10);
    await look();
    expect(await stateOf()).toMatchObject({ at: 'failed', error: { code: 'ACCESS_DENIED' } });
    refusal = undefined;
    await obey({ type: 'reopen', from: [] });
    await attempt();
    service.end(done);
    pass(10);
    await look();
    expect(await stateOf()).toMatchObject({ at: 'succeeded' });
    expect(service.works).toHaveLength(1);
  });

  it('ends with the timeout of its step, counted from its start, and is tried again', async () => {
    const { service, attempt, look, pass, stateOf } = await world({ pollMs: 10 }, { timeout: '25ms' });
    await attempt();
    for (let looked = 0; looked < 2; looked++) {
      pass(10);
      await look();
    }
    expect(service.running).toHaveLength(1);
    pass(10);
    await look();
    expect(service.running).toHaveLength(0);
    expect(await stateOf()).toMatchObject({ at: 'retrying', error: { code: 'STAGE_TIMEOUT' } });
    await attempt();
    expect(service.works).toHaveLength(2);
  });

  it('is ended by a cancel, also where whoever cancels dies, and where nobody knows whether it was started', async () => {
    for (const point of [...beforeHandle, 'engine.remote.recorded', 'engine.remote.polled', 'engine.remote.cancelled']) {
      const { service, attempt, look, pass, run, obey, claim, dieAt } = await world({ remembers: 'asked' });
      const epoch = await claim();
      dieAt(point);
      if (beforeHandle.some((before) => before === point) || point === 'engine.remote.recorded') await obey({ type: 'cancel' });
      await attempt(epoch);
      await obey({ type: 'cancel' });
      for (let looks = 0; !isEnded((await run()).state) && looks < 5; looks++) {
        await look();
        pass(60_001);
      }
      expect((await run()).state.at, point).toBe('cancelled');
      expect(service.running, point).toEqual([]);
      expect(service.works.length, point).toBe(point === 'engine.remote.intended' ? 0 : 1);
    }
  });

  it('is ended by a stage that gives up while it may have left some', async () => {
    for (const [how, remembers, options] of [
      ['lost answers', 'asked', { retry: { attempts: 2, delay: '1ms' } }],
      ['lost answers', 'token', { retry: { attempts: 1 } }],
      ['deaths', 'asked', {}],
    ] as const) {
      let cut = how === 'lost answers';
      const { service, attempt, look, pass, stateOf, run, dieAt } = await world(
        {
          remembers,
          at: (call, when) => {
            if (cut && call === 'start' && when === 'after')
              throw new MillraceError('CONNECTION_FAILED', { message: 'cut', remedy: 'wait' });
            if (cut && call === 'adopt') throw throttled();
          },
        },
        options,
      );
      for (let turn = 0; (await stateOf())?.at !== 'elsewhere'; turn++) {
        expect(turn).toBeLessThan(6);
        if (how === 'deaths') dieAt('engine.remote.started');
        await attempt();
        pass(1_000);
      }
      expect(await stateOf()).toMatchObject({
        ends: { code: how === 'deaths' ? 'STAGE_CRASHED' : remembers === 'token' ? 'CONNECTION_FAILED' : 'REMOTE_THROTTLED' },
      });
      expect(service.running, how).toHaveLength(1);
      expect((await run()).state.at).toBe('running');
      if (how === 'lost answers') {
        await look();
        expect(await stateOf(), 'the service does not answer').toMatchObject({ at: 'elsewhere' });
        cut = false;
        pass(60_001);
      }
      await look();
      expect(service.works, how).toMatchObject([{ cancels: 1, state: { at: 'failed' } }]);
      expect(await stateOf()).toMatchObject({ at: 'failed' });
      expect((await run()).state.at).toBe('failed');
    }
  });

  it('has succeeded where the stage that gave up finds it done, and was never begun where a first start was refused', async () => {
    let cut = true;
    const { service, attempt, look, stateOf } = await world(
      {
        at: (call, when) => {
          if (cut && call === 'start' && when === 'after') throw new MillraceError('CONNECTION_FAILED', { message: 'cut', remedy: 'wait' });
        },
      },
      { retry: { attempts: 1 } },
    );
    await attempt();
    cut = false;
    service.end(done);
    await look();
    expect(await stateOf()).toMatchObject({ at: 'succeeded', output: { output: { rows: 7 } } });

    const refused = await world({
      at: (call) => {
        if (call === 'start') throw new MillraceError('ACCESS_DENIED', { message: 'no', remedy: 'Grant it.' });
      },
    });
    await refused.attempt();
    expect(await refused.stateOf()).toMatchObject({ at: 'failed', error: { code: 'ACCESS_DENIED' } });
    expect(refused.service.calls).toEqual(['start']);
  });

  it('is not started beside itself where it cannot be ended, and the next retry goes on with it', async () => {
    for (const why of ['denied', 'deaf', 'away'] as const) {
      let well = false;
      const { service, attempt, look, pass, stateOf, obey } = await world(
        {
          pollMs: 10,
          at: (call) => {
            if (well || call !== 'cancel') return;
            if (why === 'denied') throw new MillraceError('ACCESS_DENIED', { message: 'glue:BatchStopJobRun', remedy: 'Grant it.' });
            if (why === 'away') throw throttled();
          },
        },
        { timeout: '25ms', retry: { attempts: 5 } },
      );
      if (why === 'deaf') service.deaf = true;
      await attempt();
      pass(30);
      for (let looks = 0; (await stateOf())?.at === 'elsewhere' && looks < 100; looks++) {
        await look();
        pass(61_000);
      }
      const state = await stateOf();
      expect(state, why).toMatchObject({ at: 'failed', error: { code: 'STAGE_TIMEOUT', remedy: expect.stringContaining('runs retry') } });
      if (why === 'denied') expect(state).toMatchObject({ error: { message: expect.stringContaining('glue:BatchStopJobRun') } });
      expect(service.running, why).toHaveLength(1);
      // Everything about it is forgotten but the work: it is looked at, and ended, anew.
      well = true;
      service.deaf = false;
      await obey({ type: 'reopen', from: [] });
      await attempt();
      await look();
      expect(service.works, why).toHaveLength(1);
      expect(service.running, why).toEqual([]);
      expect(await stateOf(), why).toMatchObject({ at: 'retrying', error: { code: 'STAGE_TIMEOUT' } });
    }
  });

  it('is asked for where a service has taken it without saying what it is called', async () => {
    const { service, attempt, stateOf } = await world({ remembers: 'asked' });
    service.nameless = 1;
    await attempt();
    expect(await stateOf()).toMatchObject({ at: 'retrying', error: { code: 'REMOTE_UNAVAILABLE' } });
    await attempt();
    expect(await stateOf()).toMatchObject({ at: 'elsewhere' });
    expect(service.works).toHaveLength(1);
  });

  it('that a zombie starts when it is all over is ended by the zombie', async () => {
    const { service, store, obey, claim, look, made, jobOf, portsOf, run } = await world({ remembers: 'asked' });
    const epoch = await claim();
    let wake = (): void => {};
    const asleep = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const ports = portsOf(epoch);
    const zombie = beginStage(jobOf(epoch), made, {
      ...ports,
      remote: {
        intend: async () => {
          const intent = await store.remote.intend({ run: (await run()).id, stage: 'job', epoch, worker: 'w' });
          await asleep;
          return intent;
        },
        started: (...started) => ports.remote?.started(...started) as never,
      },
    });
    await new Promise((resolve) => setImmediate(resolve));
    await obey({ type: 'cancel' });
    await obey({ type: 'lose', stage: 'job', epoch });
    await look();
    expect((await run()).state.at).toBe('cancelled');
    wake();
    await expect(zombie).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(service.works).toHaveLength(1);
    expect(service.running).toEqual([]);
  });

  it('whoever dies whenever and however often: each success is one start, and nothing is left', { timeout: 60_000 }, async () => {
    const points = fc.constantFrom(
      ...beforeHandle,
      'engine.remote.recorded',
      'engine.remote.polled',
      'none',
      'none',
      'interrupted',
      'throttled',
      'cancel',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(points, { maxLength: 12 }), fc.constantFrom('token', 'asked'), async (deaths, remembers) => {
        let refusal: MillraceError | undefined;
        const { service, attempt, look, pass, stateOf, run, obey, dieAt } = await world(
          {
            remembers,
            at: () => {
              const error = refusal;
              refusal = undefined;
              if (error) throw error;
            },
          },
          { retry: { attempts: 50 } },
        );
        const turns = [...deaths, ...Array.from({ length: 8 }, () => 'none' as const)];
        for (const [turn, death] of turns.entries()) {
          const { state } = await run();
          // Five in a row that died without a word: a person retries.
          if (state.at === 'failed') await obey({ type: 'reopen', from: [] });
          else if (isEnded(state)) break;
          if (death === 'cancel') await obey({ type: 'cancel' });
          else if (death === 'throttled') refusal = throttled();
          else if (death === 'interrupted') service.end({ at: 'failed', reason: 'no capacity', again: true });
          else if (death !== 'none') dieAt(death);
          if ((await stateOf())?.at !== 'elsewhere') await attempt();
          expect(service.running.length).toBeLessThanOrEqual(1);
          // The look of one who has died is somebody else's after a minute.
          pass(60_001);
          if (turn > deaths.length + 1) service.end(done);
          await look();
          expect(service.running.length).toBeLessThanOrEqual(1);
        }
        const ended = await run();
        expect(ended.state.at).toBe(ended.cancelRequestedAt === null ? 'succeeded' : 'cancelled');
        expect(service.running).toEqual([]);
        const requests = service.works.map(({ request }) => request.id);
        expect(new Set(requests).size).toBe(requests.length);
        const successes = service.works.filter(({ state }) => state.at === 'succeeded').length;
        expect(successes).toBe(ended.state.at === 'succeeded' ? 1 : 0);
      }),
      { numRuns: 120 },
    );
  });
});

describe('an executor that watches by itself', () => {
  it('begins and watches in one go, and ends the work on a cancel but not on a shutdown', async () => {
    const { service, made, jobOf, portsOf, claim } = await world({ pollMs: 1 });
    const epoch = await claim();
    const running = runStage(jobOf(epoch), made, portsOf(epoch));
    setTimeout(() => service.end(done), 20);
    expect(await running).toMatchObject({ kind: 'remote', output: { rows: 7 } });
    for (const [code, cancels] of [
      ['SHUTDOWN', 0],
      ['RUN_CANCELLED', 1],
    ] as const) {
      const other = await world({ pollMs: 1 });
      const stop = new AbortController();
      const stopped = runStage(other.jobOf(await other.claim()), other.made, other.portsOf(1, stop.signal));
      setTimeout(() => stop.abort(new MillraceError(code, { message: code, remedy: 'none' })), 20);
      await expect(stopped).rejects.toMatchObject({ code });
      expect(other.service.works).toMatchObject([{ cancels }]);
    }
  });
});

it('pauses between looks grow to fifteen times the first', () => {
  expect([1, 2, 3, 4, 5, 6, 50].map((looks) => lookPause(1_000, looks))).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
});

it('a request id is what client tokens may be, and another one for another stage', () => {
  const ids = [
    requestId('20260329T000000-aaaaaa', 'refresh_daily_sales_of_all_countries_and_years', 12_345),
    requestId('20260329T000000-aaaaaa', 'refresh_daily_sales_of_all_countries_and_months', 12_345),
    requestId('r', '_', 0),
  ];
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/);
  expect(new Set(ids).size).toBe(ids.length);
});

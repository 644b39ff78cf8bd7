import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReadPlan } from '../connector/index.ts';
import type { StoredError } from '../error/index.ts';
import { isMillraceError } from '../error/index.ts';
import { evolve, newRun, type RunId, type RunRecord, type StageOutput, type StageProgress } from '../state/index.ts';
import { stageOf } from './plans.ts';
import { remoteConformance } from './run-store-remote.ts';
import { splitConformance } from './run-store-splits.ts';
import { workConformance } from './run-store-work.ts';
import { type FreshState, storeTests } from './run-store-world.ts';
import type { Test } from './suite.ts';

const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [3], notices: [], checks: [] };
const away: StoredError = { code: 'CONNECTION_FAILED', message: 'away \u0000 \ud800', remedy: 'wait', facts: { host: 'x' } };

/**
 * What every `RunStore` promises. `open` gives a store on the same, empty state each time it is called within a test; two of
 * them are two processes.
 *
 * @example runStoreConformance(test, async () => memoryStore())
 */
export function runStoreConformance(test: Test, fresh: FreshState): void {
  const withStore = storeTests(test, fresh);
  workConformance(withStore);
  splitConformance(withStore);
  remoteConformance(withStore);

  withStore('a run is stored with its plan and read back as it was', async ({ store, create }) => {
    const made = await create();
    assert.deepEqual(await store.read(made.id), made);
    assert.equal(made.state.at, 'queued');
    assert.equal(made.seq, 1);
  });

  withStore('its time is the one that runs are made at', async ({ store, create }) => {
    const before = await store.now();
    const { createdAt } = await create();
    const after = await store.now();
    assert.ok(before.getTime() <= Date.parse(createdAt) && Date.parse(createdAt) <= after.getTime());
  });

  withStore('a run that is not there is RUN_NOT_FOUND', async ({ store }) => {
    await assert.rejects(store.read('nope'), (error) => isMillraceError(error) && error.code === 'RUN_NOT_FOUND');
    await assert.rejects(
      store.transition('nope', () => []),
      (error) => isMillraceError(error) && error.code === 'RUN_NOT_FOUND',
    );
  });

  withStore('an idempotency key makes one run, however often and at once it is asked for', async ({ store, create }) => {
    const made = await Promise.all([1, 2, 3].map(() => create({ idempotencyKey: 'monday' })));
    assert.equal(new Set(made.map(({ id }) => id)).size, 1);
    const other = await create({ idempotencyKey: 'tuesday' });
    assert.notEqual(other.id, made[0]?.id);
    assert.equal((await store.list({})).length, 2);
  });

  withStore('an id makes one run, however often and at once it is asked for', async ({ store, create }) => {
    const [first, ...others] = await Promise.all([1, 2, 3].map(() => create({ id: 'an execution' })));
    for (const other of others) assert.deepEqual(other, first);
    assert.deepEqual(await create({ id: 'an execution', pipeline: 'other', stages: [stageOf('x')], idempotencyKey: 'k' }), first);
    assert.equal((await store.list({})).length, 1);
  });

  withStore('the log is gapless, and replaying it gives the state', async ({ store, create, obey, started }) => {
    const run = await create();
    await started(run.id, 'a');
    await obey(run.id, { type: 'fail', stage: 'a', epoch: 1, error: away, random: 0 });
    await obey(run.id, { type: 'wake' });
    await started(run.id, 'a');
    await obey(run.id, { type: 'succeed', stage: 'a', epoch: 2, output });
    const now = await store.read(run.id);
    const log = await store.events(run.id, 0, 100);
    assert.deepEqual(
      log.map(({ seq }) => seq),
      log.map((_, i) => i + 1),
    );
    assert.equal(now.stages.get('b')?.state.at, 'ready');
    assert.deepEqual(evolve(newRun(run.id, run.request, run.plan, run.createdAt), log), now);
    assert.deepEqual(await store.events(run.id, log.length - 1, 10), log.slice(-1));
    assert.ok(log.every(({ at }, i) => i === 0 || at >= (log[i - 1]?.at ?? '')));
  });

  withStore('what decide throws changes nothing', async ({ store, create }) => {
    const run = await create();
    await assert.rejects(
      store.transition(run.id, () => {
        throw new Error('no');
      }),
      /no/,
    );
    assert.deepEqual(await store.read(run.id), run);
  });

  withStore('two parents that end at once start their child, once', async ({ store, create, obey, started }) => {
    for (let trial = 0; trial < 20; trial++) {
      const run = await create({ stages: [stageOf('a'), stageOf('b'), stageOf('c', ['a', 'b'])], pipeline: `p${trial}` });
      await started(run.id, 'a');
      await started(run.id, 'b');
      await Promise.all(['a', 'b'].map((stage) => obey(run.id, { type: 'succeed', stage, epoch: 1, output })));
      const log = await store.events(run.id, 0, 100);
      assert.equal(log.filter(({ event }) => event.type === 'stage.ready' && event.stage === 'c').length, 1);
    }
  });

  withStore('plan and parts of an attempt are there for the next one', async ({ store, create, started }) => {
    const run = await create();
    const lease = await started(run.id, 'a');
    assert.deepEqual(await store.earlier(run.id, 'a'), { plan: null, parts: [] });
    const plan = {
      schema: { columns: [] },
      absorbed: [],
      window: { column: 'at', low: null, high: '7' },
      splits: [],
      estimate: { rows: 1, bytes: null },
      continuesEarlier: false,
    };
    const part = { split: 's1', rows: 5, bytes: 50, detail: { name: 'x' } };
    await store.storePlan(lease, plan);
    await store.storePart(lease, part);
    await store.storePart(lease, { ...part, rows: 6 });
    assert.deepEqual(await store.earlier(run.id, 'a'), { plan, parts: [{ ...part, rows: 6 }] });
    await store.forgetParts(lease);
    assert.deepEqual(await store.earlier(run.id, 'a'), { plan, parts: [] });
  });

  withStore('parts of a plan are forgotten with it, unless the next one continues it', async ({ store, create, started }) => {
    const run = await create();
    const lease = await started(run.id, 'a');
    const plan = (continuesEarlier: boolean): ReadPlan => ({
      schema: { columns: [] },
      absorbed: [],
      window: null,
      splits: [],
      estimate: { rows: null, bytes: null },
      continuesEarlier,
    });
    const part = { split: 's1', rows: 5, bytes: 50, detail: { name: 'x' } };
    await store.storePlan(lease, plan(false));
    await store.storePart(lease, part);
    await store.storePlan(lease, plan(true));
    assert.deepEqual((await store.earlier(run.id, 'a')).parts, [part]);
    await store.storePlan(lease, plan(false));
    assert.deepEqual((await store.earlier(run.id, 'a')).parts, []);
  });

  withStore('who has lost the lease stores nothing more', async ({ store, create, obey, started }) => {
    const run = await create();
    const lease = await started(run.id, 'a');
    await obey(run.id, { type: 'lose', stage: 'a', epoch: 1 });
    await started(run.id, 'a', 'w2');
    const lost = (error: unknown): boolean => isMillraceError(error) && error.code === 'LEASE_LOST';
    await assert.rejects(store.storePart(lease, { split: 's', rows: 1, bytes: 1, detail: {} }), lost);
    await assert.rejects(
      store.storePlan(lease, {
        schema: { columns: [] },
        absorbed: [],
        window: null,
        splits: [],
        estimate: { rows: null, bytes: null },
        continuesEarlier: false,
      }),
      lost,
    );
    await assert.rejects(store.forgetParts(lease), lost);
    assert.deepEqual(await obey(run.id, { type: 'succeed', stage: 'a', epoch: 1, output }), []);
  });

  withStore('attempts and progress can be told', async ({ store, create, obey, started }) => {
    const run = await create();
    const lease = await started(run.id, 'a');
    const progress = {
      run: run.id,
      stage: 'a',
      epoch: 1,
      phase: 'moving',
      rows: 5,
      bytes: 6,
      splits: { done: 1, total: 2 },
      estimate: { rows: 10, bytes: null },
      memory: 1,
      elapsedMs: 2,
    } as const;
    await store.renew('w1', [{ ...lease, progress }]);
    assert.deepEqual(await store.progress(run.id), [progress]);
    await obey(run.id, { type: 'fail', stage: 'a', epoch: 1, error: { ...away, message: 'away' }, random: 0 });
    await obey(run.id, { type: 'wake' });
    await started(run.id, 'a');
    assert.deepEqual(await store.progress(run.id), []);
    const attempts = await store.attempts(run.id);
    assert.deepEqual(
      attempts.map(({ attempt, epoch, result }) => ({ attempt, epoch, result })),
      [
        { attempt: 1, epoch: 1, result: 'failed' },
        { attempt: 2, epoch: 2, result: 'running' },
      ],
    );
    assert.equal(attempts[0]?.error?.message, 'away');
  });

  withStore('where a stream was last outlives its attempt, its run and the process', async ({ store, open, create, obey, started }) => {
    const run = await create({ pipeline: 'streams' });
    const lease = await started(run.id, 'a');
    assert.deepEqual(await store.streams(), []);
    const progress = streaming(run.id, 'a', 'first');
    await store.renew('w1', [{ ...lease, progress }]);
    await store.renew('w1', [{ ...lease, progress: null }]);
    const [kept] = await store.streams('streams');
    assert.deepEqual({ ...kept, at: '' }, { pipeline: 'streams', step: 'a', at: '', progress });
    await obey(run.id, { type: 'lose', stage: 'a', epoch: 1 });
    const again = await started(run.id, 'a', 'w2');
    // Whoever has lost the lease does not tell where the stream is.
    await store.renew('w1', [{ ...lease, progress: streaming(run.id, 'a', 'late') }]);
    await store.renew('w2', [{ ...again, progress: streaming(run.id, 'a', 'second') }]);
    await obey(run.id, { type: 'succeed', stage: 'a', epoch: 2, output });
    await using other = await open();
    const all = await other.streams();
    assert.deepEqual(
      all.map(({ progress: last }) => last.stream?.position),
      ['second'],
    );
    assert.deepEqual(await other.streams('nothing'), []);
  });

  withStore('what is asked of a stream is open until it is answered, once', async ({ store }) => {
    const stream = { pipeline: 'streams', step: 'changes' };
    const first = await store.requestStream(stream, { kind: 'resync', tables: ['orders', 'we"ird'] });
    const second = await store.requestStream(stream, { kind: 'resync', tables: ['customers'] });
    await store.requestStream({ ...stream, step: 'other' }, { kind: 'resync', tables: ['x'] });
    assert.deepEqual(
      (await store.openRequests(stream)).map(({ id, kind, tables }) => ({ id, kind, tables })),
      [
        { id: first.id, kind: 'resync', tables: ['orders', 'we"ird'] },
        { id: second.id, kind: 'resync', tables: ['customers'] },
      ],
    );
    await store.answerRequest(first.id, away);
    await store.answerRequest(first.id, null);
    const answered = await store.streamRequest(first.id);
    assert.equal(answered?.error?.code, away.code);
    assert.ok(answered?.answeredAt !== null);
    assert.deepEqual({ ...answered, answeredAt: null, error: null }, first);
    assert.deepEqual(
      (await store.openRequests(stream)).map(({ id }) => id),
      [second.id],
    );
    assert.equal(await store.streamRequest('nope'), null);
  });

  withStore('logs come in order and in pages', async ({ store, create }) => {
    const run = await create();
    const lines = Array.from({ length: 5 }, (_, i) => ({
      run: run.id,
      stage: i % 2 ? 'b' : 'a',
      epoch: 1,
      at: new Date(1e12 + i).toISOString(),
      level: 'info' as const,
      message: `line ${i}`,
      facts: { i },
    }));
    await store.appendLogs(lines);
    const first = await store.logs(run.id, { limit: 3 });
    assert.deepEqual(first.lines, lines.slice(0, 3));
    const rest = await store.logs(run.id, { limit: 3, after: first.cursor });
    assert.deepEqual(rest.lines, lines.slice(3));
    assert.deepEqual((await store.logs(run.id, { limit: 9, after: rest.cursor })).lines, []);
    assert.deepEqual(
      (await store.logs(run.id, { limit: 9, stage: 'b' })).lines.map(({ message }) => message),
      ['line 1', 'line 3'],
    );
  });

  withStore('runs are listed newest first, by pipeline and state, in pages', async ({ store, create, admit }) => {
    const runs: RunRecord[] = [];
    for (let i = 0; i < 4; i++) runs.push(await create({ pipeline: i === 3 ? 'other' : 'p' }));
    await admit(runs[0]?.id ?? '');
    const all = await store.list({});
    assert.deepEqual(
      all.map(({ id }) => id),
      runs
        .map(({ id }) => id)
        .sort()
        .reverse(),
    );
    assert.equal((await store.list({ pipeline: 'p' })).length, 3);
    assert.deepEqual(
      (await store.list({ states: ['running'] })).map(({ id }) => id),
      [runs[0]?.id],
    );
    const page = await store.list({ limit: 2 });
    assert.deepEqual(
      (await store.list({ before: page[1]?.id ?? '' })).map(({ id }) => id),
      all.slice(2).map(({ id }) => id),
    );
    assert.equal(all.find(({ id }) => id === runs[0]?.id)?.stages.ready, 1);
  });

  withStore('runs that somebody has named are newest by their time, not by their name', async ({ store, create, obey, started }) => {
    const said = (notice: string): StageOutput => ({
      kind: 'execute',
      alreadyDone: false,
      rowsAffected: [],
      notices: [notice],
      checks: [],
    });
    for (const id of ['b', 'a', 'c']) {
      await create({ id, stages: [stageOf('x')] });
      await started(id, 'x');
      await obey(id, { type: 'succeed', stage: 'x', epoch: 1, output: said(id) });
      await sleep(5);
    }
    const listed = (await store.list({})).map(({ id }) => id);
    assert.deepEqual(listed, ['c', 'a', 'b']);
    assert.deepEqual(
      (await store.list({ before: 'a', pipeline: 'p' })).map(({ id }) => id),
      ['b'],
    );
    assert.deepEqual(await store.lastOutput('p', 'x'), said('c'));
  });

  withStore('the last output of a stage is that of the newest run that has one', async ({ store, create, obey, started }) => {
    assert.equal(await store.lastOutput('p', 'a'), null);
    const run = await create();
    await started(run.id, 'a');
    await obey(run.id, { type: 'succeed', stage: 'a', epoch: 1, output });
    await create();
    assert.deepEqual(await store.lastOutput('p', 'a'), output);
    assert.equal(await store.lastOutput('other', 'a'), null);
  });

  withStore('a change is heard of', async ({ store, create, admit }) => {
    const heard = new Set<RunId>();
    const stop = store.subscribe((run) => heard.add(run));
    // A hint may be lost while the listening begins.
    for (let i = 0; heard.size === 0 && i < 50; i++) {
      const run = await create({ pipeline: `p${i}` });
      await admit(run.id);
      await sleep(20);
    }
    stop();
    assert.ok(heard.size > 0);
  });
}

function streaming(run: RunId, stage: string, position: string): StageProgress {
  return {
    run,
    stage,
    epoch: 1,
    phase: 'streaming',
    rows: 5,
    bytes: 6,
    splits: { done: 0, total: 0 },
    estimate: { rows: null, bytes: null },
    stream: {
      source: 'secret(SHOP_URL)',
      slot: 'millrace_streams_a',
      tables: { orders: { at: 'ready' }, customers: { at: 'copying', splits: { done: 1, total: 3 } } },
      sinks: [{ name: 'mirrored', object: 'shop', position, deadLetters: 0 }],
      position,
      transactions: 3,
      changes: 5,
      changesPerSecond: 2,
      lagMs: 14,
      health: null,
      at: '2026-03-29T00:00:00.000Z',
    },
    memory: 1,
    elapsedMs: 2,
  };
}

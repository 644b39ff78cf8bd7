import { run } from '@millrace/core';
import { remoteTaskConformance, testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { AwsFault, awsFake } from '../../../../test/aws-fake.ts';
import { fixtureOf, outputOf, remoteOf } from '../../test/remote.ts';
import { dmsSteps } from './index.ts';

const context = testContext();
const at = (hour: number) => new Date(Date.UTC(2026, 2, 29, hour));

const kinds = {
  task: {
    arn: 'arn:aws:dms:eu-west-1:123456789012:task:SHOP',
    start: 'StartReplicationTask',
    stop: 'StopReplicationTask',
    describe: 'DescribeReplicationTasks',
    named: 'ReplicationTaskArn',
    typed: 'StartReplicationTaskType',
    status: (one: State) => ({ ReplicationTasks: [{ ...one, ReplicationTaskStats: one.stats }] }),
  },
  replication: {
    arn: 'arn:aws:dms:eu-west-1:123456789012:replication-config:SHOP',
    start: 'StartReplication',
    stop: 'StopReplication',
    describe: 'DescribeReplications',
    named: 'ReplicationConfigArn',
    typed: 'StartReplicationType',
    status: (one: State) => ({ Replications: [{ ...one, ReplicationType: one.MigrationType, ReplicationStats: one.stats }] }),
  },
} as const;

interface State {
  Status: string;
  MigrationType: string;
  StopReason?: string;
  stats: Record<string, unknown>;
}

/** One replication, whose state from before a start is told for `staleFor` more looks. */
async function fakeDms(
  which: keyof typeof kinds,
  {
    staleFor = 0,
    stopping = 'stopping',
    tagged = () => {},
    ...given
  }: Partial<State> & { staleFor?: number; stopping?: string; tagged?: (state: State) => void } = {},
) {
  const kind = kinds[which];
  const state: State = { Status: 'ready', MigrationType: 'full-load', stats: {}, ...given };
  let old: State | null = null;
  let stale = 0;
  const tags: Record<string, string> = {};
  const tables = [
    { SchemaName: 'public', TableName: 'orders', TableState: 'Table completed', FullLoadRows: 40 },
    { SchemaName: 'public', TableName: 'items', TableState: 'Table completed', FullLoadRows: 2 },
  ];
  // biome-ignore lint/suspicious/noExplicitAny: what comes over the wire.
  const statistics = ({ Marker }: any) => {
    const page = { [which === 'task' ? 'TableStatistics' : 'ReplicationTableStatistics']: [tables[Marker ? 1 : 0]] };
    return Marker ? page : { ...page, Marker: 'next' };
  };
  const fake = await awsFake({
    // biome-ignore lint/suspicious/noExplicitAny: what comes over the wire.
    [kind.start](input: any) {
      if (!['ready', 'created', 'stopped', 'failed'].includes(state.Status)) throw new AwsFault('InvalidResourceStateFault');
      const first = state.stats['StartDate'] === undefined;
      if ((input[kind.typed] === 'start-replication') !== first) throw new AwsFault('InvalidParameterCombinationException');
      old = structuredClone(state);
      stale = staleFor;
      Object.assign(state, { Status: 'starting', stats: { StartDate: at(1), FullLoadProgressPercent: 0 } });
      delete state.StopReason;
      return {};
    },
    [kind.describe]: () => kind.status(stale-- > 0 && old ? old : state),
    [kind.stop]() {
      if (!['starting', 'running'].includes(state.Status)) throw new AwsFault('InvalidResourceStateFault');
      state.Status = stopping;
      return {};
    },
    DescribeTableStatistics: statistics,
    DescribeReplicationTableStatistics: statistics,
    AddTagsToResource({ Tags }) {
      for (const { Key, Value } of Tags) tags[Key] = Value;
      tagged(state);
      return {};
    },
    ListTagsForResource: () => ({ TagList: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }),
  });
  const step = dmsSteps({ ...fake.settings, settlesMs: 60 })[which](kind.arn);
  return { fake, kind, state, tables, ...remoteOf(step), [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

describe.each(['task', 'replication'] as const)('a %s', (which) => {
  test('is started, loads and ends', async () => {
    await using world = await fakeDms(which);
    const { task, kind, state } = world;
    const handle = await task.start(world.request(), context);
    expect(world.fake.called(kind.start)).toEqual([{ [kind.named]: kind.arn, [kind.typed]: 'start-replication' }]);
    expect(await task.poll(handle, context)).toEqual({ at: 'running', status: 'starting', progress: 0 });
    Object.assign(state, { Status: 'running', stats: { ...state.stats, FullLoadProgressPercent: 50, TablesLoading: 1 } });
    expect(await task.poll(handle, context)).toEqual({ at: 'running', status: 'running', progress: 0.5 });
    Object.assign(state, {
      Status: 'stopped',
      StopReason: 'Stop Reason FULL_LOAD_ONLY_FINISHED',
      stats: { StartDate: at(1), StopDate: at(2), FullLoadProgressPercent: 100, TablesLoaded: 2 },
    });
    expect(outputOf(await task.poll(handle, context))).toEqual({ tables: 2, stopReason: 'FULL_LOAD_ONLY_FINISHED', rows: 42 });
  });

  test('is stopped only by who has started it last', async () => {
    await using world = await fakeDms(which);
    const { task, kind, state } = world;
    const first = await task.start(world.request('first'), context);
    Object.assign(state, { Status: 'stopped', StopReason: 'Stop Reason NORMAL' });
    const second = await task.start(world.request('second'), context);
    await task.cancel(first, context);
    expect(world.fake.called(kind.stop)).toEqual([]);
    await task.cancel(second, context);
    expect(world.fake.called(kind.stop)).toHaveLength(1);
  });

  test('that has run before is loaded anew, and its old end is not taken for the new one', async () => {
    await using world = await fakeDms(which, {
      Status: 'stopped',
      StopReason: 'Stop Reason FULL_LOAD_ONLY_FINISHED',
      stats: { StartDate: at(0), StopDate: at(0), FullLoadProgressPercent: 100, TablesLoaded: 2 },
      staleFor: 1,
    });
    const handle = await world.task.start(world.request(), context);
    expect(world.fake.called(world.kind.start)[0]).toMatchObject({ [world.kind.typed]: 'reload-target' });
    expect(await world.task.poll(handle, context)).toEqual({ at: 'running', status: 'starting', progress: null });
    expect(await world.task.poll(handle, context)).toMatchObject({ at: 'running', progress: 0 });
  });

  test('whose start has no effect is to be started again', async () => {
    await using world = await fakeDms(which, { staleFor: 9 });
    const handle = await world.task.start(world.request(), context);
    const later = testContext({ now: () => new Date(Date.now() + 600_000) });
    expect(await world.task.poll(handle, later)).toMatchObject({ at: 'failed', again: true });
  });

  test('is not started twice where the answer is lost', async () => {
    await using world = await fakeDms(which, { staleFor: 1 });
    world.fake.cut(world.kind.start);
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    const handle = await world.task.adopt(world.request(), context);
    expect(handle).toMatchObject({ id: 'SHOP/run-1-stage-1' });
    expect(world.fake.called(world.kind.start)).toHaveLength(1);
    expect(await world.task.poll(handle!, context)).toMatchObject({ at: 'running' });
    expect(await world.task.adopt(world.request('another'), context)).toBeNull();
  });

  test('is started where the one before died between its note and the start', async () => {
    await using world = await fakeDms(which);
    world.fake.fail(world.kind.start, new AwsFault('InternalFailure', 'no', 500));
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code: 'REMOTE_UNAVAILABLE' });
    expect(await world.task.adopt(world.request(), context)).toBeNull();
    await world.task.start(world.request(), context);
    expect(world.state.Status).toBe('starting');
  });

  test('that is running is not started', async () => {
    await using world = await fakeDms(which, { Status: 'running', stats: { StartDate: at(0) } });
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code: 'REMOTE_UNAVAILABLE' });
    expect(world.fake.called(world.kind.start)).toEqual([]);
  });

  test('that two start at once is started once, and watched by both', async () => {
    for (const [one, other] of [
      ['same', 'same'],
      ['first', 'second'],
    ] as const) {
      await using world = await fakeDms(which, { staleFor: 1 });
      const handles = await Promise.all([one, other].map((id) => world.task.start(world.request(id), context)));
      expect(handles.map(({ id }) => id)).toEqual([`SHOP/${one}`, `SHOP/${other}`]);
      expect(world.fake.called(world.kind.start)).toHaveLength(2);
      for (const handle of handles) expect(await world.task.poll(handle, context)).toMatchObject({ at: 'running', progress: 0 });
    }
  });

  test('that was started for the same request since it was asked for is watched', async () => {
    await using world = await fakeDms(which);
    expect(await world.task.adopt(world.request(), context)).toBeNull();
    const first = await world.task.start(world.request(), context);
    expect(await world.task.start(world.request(), context)).toMatchObject({ id: first.id });
    expect(world.fake.called(world.kind.start)).toHaveLength(1);
  });

  test.each(['modifying', 'testing'])('that is %s when it is started has not been started by another', async (Status) => {
    await using world = await fakeDms(which, { tagged: (state) => void Object.assign(state, { Status }) });
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code: 'REMOTE_UNAVAILABLE' });
    expect(world.fake.called(world.kind.start)).toHaveLength(1);
    expect(await world.task.adopt(world.request(), context)).toBeNull();
  });

  test('that DMS does not start as it is has not been started by another', async () => {
    await using world = await fakeDms(which);
    world.fake.fail(
      world.kind.start,
      new AwsFault('InvalidResourceStateFault', 'Test connection should be successful for starting the task'),
    );
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({
      code: 'REMOTE_UNAVAILABLE',
      message: expect.stringContaining('Test connection'),
    });
  });

  test('is stopped, and left where it does not run', async () => {
    await using world = await fakeDms(which);
    const handle = await world.task.start(world.request(), context);
    world.state.Status = 'running';
    await world.task.cancel(handle, context);
    expect(world.state.Status).toBe('stopping');
    await world.task.cancel(handle, context);
  });

  test('names the tables that ended in error', async () => {
    await using world = await fakeDms(which);
    const handle = await world.task.start(world.request(), context);
    world.tables[1]!.TableState = 'Table error';
    Object.assign(world.state, {
      Status: 'stopped',
      StopReason: 'Stop Reason FULL_LOAD_ONLY_FINISHED',
      stats: { StartDate: at(1), StopDate: at(2), FullLoadProgressPercent: 100, TablesLoaded: 1, TablesErrored: 1 },
    });
    expect(await world.task.poll(handle, context)).toMatchObject({
      at: 'failed',
      again: false,
      reason: expect.stringContaining('public.items (Table error)'),
    });
  });

  test('has ended also where its statistics cannot be read', async () => {
    await using world = await fakeDms(which);
    const handle = await world.task.start(world.request(), context);
    Object.assign(world.state, {
      Status: 'stopped',
      stats: { StartDate: at(1), StopDate: at(2), FullLoadProgressPercent: 100, TablesLoaded: 2 },
    });
    for (const one of ['DescribeTableStatistics', 'DescribeReplicationTableStatistics'])
      world.fake.fail(one, new AwsFault('AccessDeniedFault', 'no'));
    const warned: string[] = [];
    const log = { info: () => {}, warn: (message: string) => void warned.push(message) };
    expect(outputOf(await world.task.poll(handle, testContext({ log })))).toEqual({ tables: 2 });
    expect(warned).toHaveLength(1);
  });

  test('that is gone has failed', async () => {
    await using world = await fakeDms(which);
    const handle = await world.task.start(world.request(), context);
    world.fake.fail(world.kind.describe, new AwsFault('ResourceNotFoundFault', 'no', 400));
    expect(await world.task.poll(handle, context)).toMatchObject({
      at: 'failed',
      again: false,
      reason: expect.stringContaining('any more'),
    });
  });
});

test('steps have the parameters of the API, and their ARNs are looked at', () => {
  const dms = dmsSteps();
  expect(dms.task(kinds.task.arn, { cdcStopPosition: run.param('until'), until: 'loaded' }).work).toMatchObject({
    parameters: { ReplicationTaskArn: kinds.task.arn, CdcStopPosition: run.param('until') },
    task: {
      description: {
        service: 'dms',
        action: 'StartReplicationTask',
        label: 'DMS task SHOP',
        starts: 'once',
        facts: { native: true, serverless: false, until: 'loaded', reload: false },
      },
    },
  });
  expect(dms.replication(kinds.replication.arn).work).toMatchObject({
    parameters: { ReplicationConfigArn: kinds.replication.arn },
    task: { description: { action: 'StartReplication', facts: { serverless: true } } },
  });
  expect(() => dms.task(kinds.replication.arn)).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
  expect(() => dms.replication('SHOP')).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
});

describe.each(['task', 'replication'] as const)('a %s is watched as all work elsewhere is', (which) => {
  remoteTaskConformance(test, async () => {
    const world = await fakeDms(which, { stopping: 'stopped' });
    let hour = 1;
    const end =
      (Status: string, StopReason = '', percent = 100) =>
      () =>
        void Object.assign(world.state, {
          Status,
          StopReason,
          stats: { ...world.state.stats, StopDate: at(++hour), FullLoadProgressPercent: percent },
        });
    return fixtureOf(world, {
      start: world.kind.start,
      poll: world.kind.describe,
      works: () => world.fake.called(world.kind.start).length,
      end: {
        succeeded: end('stopped', 'Stop Reason FULL_LOAD_ONLY_FINISHED'),
        failed: end('failed'),
        interrupted: end('stopped', 'Stop Reason RECOVERABLE_ERROR', 40),
      },
      forget: () => world.fake.fail(world.kind.describe, new AwsFault('ResourceNotFoundFault')),
    });
  });
});

import { run } from '@millrace/core';
import { remoteTaskConformance, testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { AwsFault, awsFake } from '../../../../test/aws-fake.ts';
import { fixtureOf, remoteOf } from '../../test/remote.ts';
import { glue } from './index.ts';

interface Run {
  Id: string;
  JobName: string;
  Arguments: Record<string, string>;
  JobRunState: string;
  [more: string]: unknown;
}

/** Glue with one job; a run is listed, and found by its id, from the look after `hiddenFor` others on. */
async function fakeGlue({ hiddenFor = 0 } = {}) {
  const runs: Run[] = [];
  let looks = 0;
  const visible = () => (looks++ < hiddenFor ? [] : runs);
  const fake = await awsFake({
    StartJobRun({ JobName, Arguments }) {
      if (JobName !== 'nightly') throw new AwsFault('EntityNotFoundException', `Job ${JobName} is not there.`);
      const Id = `jr_${runs.length + 1}`;
      runs.unshift({ Id, JobName, Arguments, JobRunState: 'STARTING' });
      return { JobRunId: Id };
    },
    GetJobRuns: ({ NextToken }) => {
      // Two on a page.
      const from = Number(NextToken ?? 0);
      const all = visible();
      return { JobRuns: all.slice(from, from + 2), ...(from + 2 < all.length && { NextToken: String(from + 2) }) };
    },
    GetJobRun({ RunId }) {
      const found = visible().find(({ Id }) => Id === RunId);
      if (!found) throw new AwsFault('EntityNotFoundException');
      return { JobRun: found };
    },
    BatchStopJobRun({ JobRunIds }) {
      for (const one of runs) if (JobRunIds.includes(one.Id) && one.JobRunState === 'STARTING') one.JobRunState = 'STOPPED';
      return { SuccessfulSubmissions: [], Errors: [] };
    },
  });
  const step = glue({ ...fake.settings, settlesMs: 60 }).job('nightly', { arguments: { '--date': '2026-03-29' }, workerType: 'G.1X' });
  return { fake, runs, ...remoteOf(step), [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

const context = testContext();

test('a job is started with the parameters of the API and the request among its arguments', async () => {
  await using world = await fakeGlue();
  const handle = await world.task.start(world.request(), context);
  expect(world.fake.called('StartJobRun')).toEqual([
    { JobName: 'nightly', Arguments: { '--date': '2026-03-29', '--millrace-request': 'run-1-stage-1' }, WorkerType: 'G.1X' },
  ]);
  expect(handle.id).toBe('jr_1');
  expect(handle.link).toBe('https://eu-west-1.console.aws.amazon.com/gluestudio/home?region=eu-west-1#/job/nightly/run/jr_1');
});

test('a step says what a state machine needs', () => {
  const { work } = glue().job('nightly', { arguments: { '--date': run.date }, timeout: 90 });
  expect(work).toMatchObject({
    kind: 'remote',
    parameters: { JobName: 'nightly', Arguments: { '--date': run.date }, Timeout: 90 },
    task: { description: { service: 'glue', action: 'StartJobRun', region: null, starts: 'once', watched: true, facts: { native: true } } },
  });
});

describe('every state of a run has a meaning', () => {
  test.each([
    ['STARTING', { at: 'running', status: 'STARTING' }],
    ['RUNNING', { at: 'running', status: 'RUNNING' }],
    ['STOPPING', { at: 'running', status: 'STOPPING' }],
    ['WAITING', { at: 'running', status: 'WAITING' }],
    ['A_NEW_ONE', { at: 'running', status: 'A_NEW_ONE' }],
    ['SUCCEEDED', { at: 'succeeded', output: { seconds: 61, dpuSeconds: 122, workers: 2 } }],
    ['FAILED', { at: 'failed', again: false, reason: 'Column "total" is not there.' }],
    ['ERROR', { at: 'failed', again: false, reason: 'Column "total" is not there.' }],
    ['TIMEOUT', { at: 'failed', again: false, reason: expect.stringContaining('2880 minutes') }],
    ['STOPPED', { at: 'failed', again: true }],
    ['EXPIRED', { at: 'failed', again: true }],
  ])('%s', async (JobRunState, state) => {
    await using world = await fakeGlue();
    const handle = await world.task.start(world.request(), context);
    Object.assign(world.runs[0]!, {
      JobRunState,
      ErrorMessage: 'Column "total" is not there.',
      Timeout: 2880,
      ExecutionTime: 61,
      DPUSeconds: 122,
      NumberOfWorkers: 2,
    });
    expect(await world.task.poll(handle, context)).toMatchObject(state);
  });

  test('a run that found no capacity may be started again', async () => {
    await using world = await fakeGlue();
    const handle = await world.task.start(world.request(), context);
    Object.assign(world.runs[0]!, { JobRunState: 'FAILED', ErrorMessage: 'Exception: Resource unavailable, please try again.' });
    expect(await world.task.poll(handle, context)).toMatchObject({ at: 'failed', again: true });
  });
});

test('a start whose answer is lost is sent once, and found again', async () => {
  await using world = await fakeGlue({ hiddenFor: 2 });
  world.fake.cut('StartJobRun');
  await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  expect(world.fake.called('StartJobRun')).toHaveLength(1);
  expect(await world.task.adopt(world.request(), context)).toMatchObject({ id: 'jr_1' });
});

test('what was started under another id is not adopted, on whatever page it stands', async () => {
  await using world = await fakeGlue();
  for (const id of ['a', 'b', 'c', 'd', 'e']) await world.task.start(world.request(id), context);
  expect(await world.task.adopt(world.request('z'), context)).toBeNull();
  expect(await world.task.adopt(world.request('a'), context)).toMatchObject({ id: 'jr_1' });
});

test('a run that Glue does not know yet is starting, one that it has forgotten has failed', async () => {
  await using world = await fakeGlue({ hiddenFor: 2 });
  const handle = await world.task.start(world.request(), context);
  expect(await world.task.poll(handle, context)).toEqual({ at: 'running', status: 'STARTING', progress: null });
  const later = testContext({ now: () => new Date(Date.now() + 3_600_000) });
  expect(await world.task.poll(handle, later)).toMatchObject({ at: 'failed', again: false, reason: expect.stringContaining('jr_1') });
});

test('a run is stopped', async () => {
  await using world = await fakeGlue();
  const handle = await world.task.start(world.request(), context);
  await world.task.cancel(handle, context);
  expect(world.fake.called('BatchStopJobRun')).toEqual([{ JobName: 'nightly', JobRunIds: ['jr_1'] }]);
  await world.task.cancel(handle, context);
});

describe('what Glue says of a start', () => {
  test.each([
    ['ThrottlingException', 400, 'REMOTE_THROTTLED'],
    ['ConcurrentRunsExceededException', 400, 'REMOTE_THROTTLED'],
    ['ResourceNumberLimitExceededException', 400, 'REMOTE_THROTTLED'],
    ['InternalServiceException', 500, 'REMOTE_UNAVAILABLE'],
    ['EntityNotFoundException', 400, 'REMOTE_REFUSED'],
    ['InvalidInputException', 400, 'REMOTE_REFUSED'],
    ['AccessDeniedException', 400, 'ACCESS_DENIED'],
    ['UnrecognizedClientException', 400, 'AUTHENTICATION_FAILED'],
  ])('%s', async (name, status, code) => {
    await using world = await fakeGlue();
    world.fake.fail('StartJobRun', new AwsFault(name, 'no', status));
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code });
    expect(world.runs).toEqual([]);
  });
});

test('an aborted call says why it was aborted', async () => {
  await using world = await fakeGlue();
  const signal = AbortSignal.abort(new Error('the lease is lost'));
  await expect(world.task.start(world.request(), testContext({ signal }))).rejects.toThrow('the lease is lost');
  expect(world.fake.calls).toEqual([]);
});

describe('a job is watched as all work elsewhere is', () => {
  remoteTaskConformance(test, async () => {
    const world = await fakeGlue();
    const end = (JobRunState: string) => () => void Object.assign(world.runs[0]!, { JobRunState });
    return fixtureOf(world, {
      start: 'StartJobRun',
      poll: 'GetJobRun',
      works: () => world.runs.length,
      end: { succeeded: end('SUCCEEDED'), failed: end('FAILED'), interrupted: end('STOPPED') },
      forget: () => void world.runs.shift(),
    });
  });
});

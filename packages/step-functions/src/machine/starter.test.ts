import { type Json, memoryStore, type Plan, runRequest, type Schedule } from '@millrace/core/runtime';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matchesUrl } from '../../../connectors/src/s3/matching.ts';
import { complaints } from '../../test/complaints.ts';
import { remotes } from '../../test/everything.ts';
import { allStates, type Ended, failure, type Loose, startMachine } from '../../test/interpreter.ts';
import { planOf, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';
import { schedulesOf } from '../template/schedule.ts';
import { templateOf } from '../template/template.ts';
import { requestFromEnvironment } from '../work/request.ts';

const planWith = (schedule: Schedule, more: { readonly params?: Plan['params']; readonly name?: string } = {}): Plan =>
  planOf([{ id: 'loaded' }], { schedule, ...more });

/** Step Functions and EventBridge, as far as a start goes. Of executions of the pipeline's machine: their inputs by their names. */
function account(plan: Plan) {
  const machines = compileStateMachines(plan, settings);
  const starter = machines.others.find(({ id }) => id === 'Starter');
  if (!starter) throw new Error('nothing starts it');
  const executions = new Map<string, Json>();
  let told = 0;
  return {
    machines,
    executions,
    resources: templateOf(plan, machines, settings).Resources as unknown as Loose,
    /** What EventBridge does for one event: the machine that it names is started with it. */
    tell(event: Json, answer = (): void => {}): Promise<Ended> {
      const Name = `told-${++told}`;
      return startMachine(starter.definition, event, {
        execution: { Id: `arn:aws:states:eu-west-1:123456789012:execution:${starter.name}:${Name}`, Name },
        answer({ call, parameters }) {
          expect([call, parameters['StateMachineArn']]).toEqual(['states:startExecution', '${StateMachineArn}']);
          const name = parameters['Name'] ?? '';
          expect(name).toMatch(/^[\w-]{1,80}$/);
          answer();
          if (executions.has(name)) throw failure('StepFunctions.ExecutionAlreadyExistsException');
          executions.set(name, parameters['Input'] as unknown as Json);
          return {};
        },
      }).ended;
    },
    /** What the runs of these executions are asked to do, by way of the machine and its first task; and with which state they end. */
    async runs() {
      const found: { readonly run: string; readonly request: Awaited<ReturnType<typeof runRequest>>; readonly output: Json }[] = [];
      for (const [Name, input] of executions) {
        const environments: Record<string, string>[] = [];
        const { output, error, cause } = await startMachine(machines.main.definition, input, {
          execution: { Id: `arn:aws:states:eu-west-1:123456789012:execution:millrace:${Name}`, Name },
          answer({ parameters }) {
            const variables = parameters['Overrides']?.['ContainerOverrides']?.[0]?.['Environment'] as unknown as {
              Name: string;
              Value: string;
            }[];
            environments.push(Object.fromEntries(variables.map(({ Name, Value }) => [Name, Value])));
            return {};
          },
        }).ended;
        expect({ error, cause }).toEqual({ error: null, cause: '' });
        const { run, input: state } = requestFromEnvironment(plan.pipeline, 'loaded', environments[0] ?? {});
        const { time, window, params } = state;
        const asked = { file: '', plan, logicalTime: time, params, ...(window && { window }) };
        found.push({ run, request: await runRequest(asked, plan, memoryStore(), new Date()), output: output as Json });
      }
      return found;
    },
  };
}

const cron = (more: object = {}): Schedule => ({ kind: 'cron', expression: '0 6 * * *', timeZone: 'Europe/Paris', ...more });

describe('a schedule', () => {
  const scheduled = (resources: Loose, time: string): Json => {
    const target = resources['Schedule1']?.['Properties']?.['Target'];
    expect(target?.['Arn']).toEqual({ Ref: 'Starter' });
    return JSON.parse(String(target?.['Input']).replaceAll('<aws.scheduler.scheduled-time>', time));
  };

  test('starts one run for a time, however often EventBridge says so, and each time has its run', async () => {
    const { tell, resources, executions, runs } = account(planWith(cron()));
    for (const time of ['2026-03-29T04:00:00Z', '2026-03-29T04:00:00Z', '2026-03-30T04:00:00Z'])
      expect(await tell(scheduled(resources, time))).toMatchObject({ error: null });
    expect([...executions.keys()]).toEqual(['nightly-2026-03-29T04-00-00Z', 'nightly-2026-03-30T04-00-00Z']);
    const [first] = await runs();
    expect(first).toMatchObject({
      run: 'nightly-2026-03-29T04-00-00Z',
      request: { logicalTime: '2026-03-29T04:00:00.000Z', date: '2026-03-29', window: null },
    });
  });

  test('that has one time in two of its expressions starts one run for it, and another pipeline its own', async () => {
    const names: string[] = [];
    for (const name of ['one', 'two']) {
      const plan = planWith(cron({ expression: '0 6 * * * | 0 6 1 * *', timeZone: 'UTC' }), { name });
      const { tell, resources, executions } = account(plan);
      expect(resources['Schedule2']).toBeDefined();
      for (let times = 0; times < 2; times++) await tell(scheduled(resources, '2026-04-01T06:00:00Z'));
      names.push(...executions.keys());
    }
    expect(names).toEqual(['one-2026-04-01T06-00-00Z', 'two-2026-04-01T06-00-00Z']);
  });

  test('of another time zone tells the day, which a person who starts the machine has to tell as well', async () => {
    const plan = planOf([{ id: 'glue' }], { steps: remotes, schedule: cron(), params: { country: 'FR' } });
    const { tell, resources, executions } = account(plan);
    await tell(scheduled(resources, '2026-03-29T04:00:00Z'));
    expect([...executions.values()]).toMatchObject([{ time: '2026-03-29T04:00:00Z', date: '2026-03-29' }]);
  });

  test('is tried again where Step Functions does not answer, and fails where that lasts', async () => {
    const { tell, resources, executions } = account(planWith(cron()));
    let refusals = 3;
    const busy = (): void => {
      if (refusals-- > 0) throw failure('StepFunctions.ThrottlingException');
    };
    const time = scheduled(resources, '2026-03-29T04:00:00Z');
    expect((await tell(time, busy)).error).toBe(null);
    expect(executions.size).toBe(1);
    refusals = 100;
    expect((await tell(time, busy)).error).toBe('StepFunctions.ThrottlingException');
    expect(100 - refusals).toBe(13);
  });
});

describe('an object of S3', () => {
  /** https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html */
  const created = (key: string, etag: string, time = '2026-03-29T04:05:06Z'): Json => ({
    version: '0',
    id: '17793124-05d4-b198-2fde-7ededc63b103',
    'detail-type': 'Object Created',
    source: 'aws.s3',
    account: '123456789012',
    time,
    region: 'eu-west-1',
    resources: ['arn:aws:s3:::landing'],
    detail: {
      version: '0',
      bucket: { name: 'landing' },
      object: { key, size: 5, etag, 'version-id': 'IYV3p45BT0ac8hjHg1houSdS1a.Mro8e', sequencer: '617f08299329d189' },
      'request-id': 'N4N7GDK58NMKJ12R',
      requester: '123456789012',
      reason: 'PutObject',
    },
  });
  const plan = planWith({ kind: 'files', pattern: 's3://landing/in/*.csv' }, { params: { file: null, country: 'FR' } });

  test('starts one run for each of its versions, and tells what the pipeline wants to know, whatever the key is', async () => {
    const { tell, executions, runs } = account(plan);
    const key = "in/it's new {1}, 5 €.csv";
    for (const etag of ['b1946ac9', 'b1946ac9', 'c2057bd0']) await tell(created(key, etag));
    const found = await runs();
    expect(found.map(({ request: { params } }) => params)).toEqual(Array(2).fill({ file: `s3://landing/${key}`, country: 'FR' }));
    expect(found[0]?.request.logicalTime).toBe('2026-03-29T04:05:06.000Z');
    // The interpreter takes backslashes out of the JSON that a task is told, so quotes are looked for before that.
    await tell(created('in/"quoted".csv', 'd3178ce1'));
    expect([...executions.values()].at(-1)).toMatchObject({ params: { file: 's3://landing/in/"quoted".csv' } });
    expect(new Set(found.map(({ run }) => run)).size).toBe(2);
  });

  test('that nobody wants to be told of is not told, so that the run is not refused', async () => {
    const { tell, runs } = account(planWith({ kind: 'files', pattern: 's3://landing/in/*.csv' }));
    await tell(created('in/a.csv', 'b1946ac9'));
    expect((await runs()).map(({ request: { params } }) => params)).toEqual([{}]);
  });

  test('in a deeper folder, for which EventBridge takes its * as well, starts nothing', async () => {
    const { tell, resources, executions } = account(plan);
    expect(resources['Trigger']?.['Properties']?.['EventPattern']).toMatchObject({
      detail: { object: { key: [{ wildcard: 'in/*.csv' }] } },
    });
    expect(await tell(created('in/old/a.csv', 'b1946ac9'))).toMatchObject({ error: null });
    expect(executions.size).toBe(0);
  });

  test('starts a run where it would with the other executors, and nowhere else', () => {
    const part = fc.constantFrom('a', 'b', '/', '.csv');
    const texts = (parts: fc.Arbitrary<string>) => fc.array(parts, { minLength: 1, maxLength: 7 }).map((drawn) => drawn.join(''));
    const patterns = texts(fc.oneof(part, fc.constantFrom('*', '/*', '**/', '/**'))).filter((pattern) => /[^/]$/.test(pattern));
    const wrong: string[] = [];
    let said = 0;
    fc.assert(
      fc.property(patterns, fc.array(texts(part), { minLength: 1, maxLength: 20 }), (pattern, keys) => {
        const found = schedulesOf({ schedule: { kind: 'files', pattern: `s3://landing/${pattern}` } });
        if (found.kind !== 'objects') return;
        said++;
        const { deeper } = found;
        for (const key of keys) {
          const starts = found.keys.some((one) => anything(one).test(key)) && !(deeper !== null && anything(deeper).test(key));
          if (starts !== matchesUrl(`s3://landing/${pattern}`, `s3://landing/${key}`))
            wrong.push(`${pattern} ${starts ? 'takes' : 'leaves'} ${key}`);
        }
        expect(wrong).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
    expect(said).toBeGreaterThan(500);
  });

  /** The wildcard of EventBridge, and of a Choice. */
  const anything = (wildcard: string): RegExp =>
    new RegExp(`^${wildcard.replaceAll(/[.+?^$(){}|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`, 's');
});

describe('the success of another pipeline', () => {
  const succeeded = (output: Json): Json => ({
    version: '0',
    'detail-type': 'Step Functions Execution Status Change',
    source: 'aws.states',
    time: '2026-03-29T05:00:00Z',
    detail: {
      executionArn: 'arn:aws:states:eu-west-1:123456789012:execution:millrace-upstream:x',
      name: 'x',
      status: 'SUCCEEDED',
      input: '{}',
      output: JSON.stringify(output),
    },
  });

  test('starts one run for the time and the window of that one, along a chain, whatever its input said', async () => {
    const window = { start: '2026-03-28T00:00:00.000Z', end: '2026-03-29T00:00:00.000Z' };
    let event = succeeded({ run: 'theirs', time: '2026-03-29T00:00:00Z', window, params: {}, date: null });
    for (const name of ['second', 'third']) {
      const { tell, runs } = account(planWith({ kind: 'success', of: 'upstream' }, { name }));
      await tell(event);
      // Redriven, or gone on with: the run has succeeded once.
      await tell(event);
      const [found, ...others] = await runs();
      expect(others).toEqual([]);
      expect(found?.request).toMatchObject({ logicalTime: '2026-03-29T00:00:00.000Z', window });
      event = succeeded(found?.output as Json);
    }
  });

  test('of each of its runs starts one', async () => {
    const { tell, executions } = account(planWith({ kind: 'success', of: 'upstream' }));
    for (const run of ['a', 'b', 'a']) await tell(succeeded({ run, time: '2026-03-29T00:00:00Z', window: null }));
    expect(executions.size).toBe(2);
  });
});

test.each([
  ['a schedule', cron()],
  ['objects', { kind: 'files', pattern: 's3://landing/in/*.csv' }],
  ['another pipeline', { kind: 'success', of: 'upstream' }],
] as [string, Schedule][])('both validators take the machine that %s starts', async (_, schedule) => {
  const machines = compileStateMachines(planWith(schedule), settings);
  expect(await complaints(machines)).toEqual([]);
  const starter = machines.others.find(({ id }) => id === 'Starter');
  expect(starter?.name).toBe('millrace-nightly-starter');
  expect(allStates(starter?.definition as never).length).toBeGreaterThan(3);
});

test('what nothing starts by itself has no such machine', () => {
  for (const schedule of [{ kind: 'manual' }, { kind: 'notify', channel: 'orders' }] as Schedule[])
    expect(compileStateMachines(planWith(schedule), settings).others).toEqual([]);
});

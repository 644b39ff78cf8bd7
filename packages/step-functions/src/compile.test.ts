import { compile, type Pipeline, type PlanStep } from '@millrace/core/runtime';
import { afterEach, describe, expect, test, vi } from 'vitest';
import shopMirror from '../../../examples/shop-mirror/shop-mirror.ts';
import { complaints } from '../test/complaints.ts';
import { everything, remotes, retry, statements } from '../test/everything.ts';
import { type Answer, type Asked, allStates, failure, interpret, type Loose, stageOf, startMachine } from '../test/interpreter.ts';
import { planOf, remoteStep, settings, stepOf } from '../test/plans.ts';
import type { Definition, Task } from './asl.ts';
import { compileStateMachines } from './compile.ts';
import { faultsOf } from './machine/faults.ts';
import { limits } from './machine/limits.ts';

describe('what others say of the machines', () => {
  test.each(['task', 'token', 'activity', { lambda: 'arn:aws:lambda:eu-west-1:123456789012:function:etl' }] as const)(
    'everything at once, by %j',
    async (work) => {
      const machines = compileStateMachines(everything, { ...settings, work, spot: true, splits: { split: 4, many: 100 } });
      expect(await complaints(machines)).toEqual([]);
      expect(machines.others.map(({ name }) => name).sort()).toEqual(['millrace-nightly-dms-replication', 'millrace-nightly-dms-task']);
    },
  );

  test('after another pipeline, in another time zone', async () => {
    const plan = { ...everything, schedule: { kind: 'success', of: 'upstream' } } as const;
    expect(await complaints(compileStateMachines(plan, settings))).toEqual([]);
    const local = { ...everything, schedule: { kind: 'cron', expression: '0 6 * * *', timeZone: 'Europe/Paris' } } as const;
    expect(await complaints(compileStateMachines(local, settings))).toEqual([]);
  });
});

test('a stream is refused, with the reason', () => {
  expect(() => compileStateMachines(compile(shopMirror as unknown as Pipeline), settings)).toThrow(/follows changes without end/);
});

describe('what only we check', () => {
  const task: Task = { Type: 'Task', Resource: 'arn:aws:states:::sns:publish', End: true };
  const machine = (one: object, name = 'a'): Definition => ({ StartAt: name, States: { [name]: { ...task, ...one } as Task } });
  test.each([
    [
      'States.ALL before others',
      machine({
        Retry: [
          { ErrorEquals: ['States.ALL'], MaxAttempts: 1 },
          { ErrorEquals: ['X'], MaxAttempts: 1 },
        ],
      }),
      /alone and last/,
    ],
    ['States.ALL with others', machine({ Catch: [{ ErrorEquals: ['States.ALL', 'X'], Next: 'a' }] }), /alone and last/],
    ['a heartbeat that is longer than the timeout', machine({ HeartbeatSeconds: 300, TimeoutSeconds: 60 }), /heartbeat/],
    ['a token that nobody gets', machine({ Resource: 'arn:aws:states:::ecs:runTask.waitForTaskToken' }), /token/],
    ['.sync where there is none', machine({ Resource: 'arn:aws:states:::sns:publish.sync' }), /does not have/],
    ['.sync of the SDK', machine({ Resource: 'arn:aws:states:::aws-sdk:dms:startReplicationTask.sync' }), /no \.sync/],
    ['a service that is not there', machine({ Resource: 'arn:aws:states:::redshift:run' }), /does not have/],
    ['a name of 81 characters', machine({}, 'x'.repeat(81)), /no name/],
    ['a name that is not ASCII', machine({}, 'größe'), /no name/],
    ['256 KiB of parameters', machine({ Parameters: { text: 'x'.repeat(262_144) } }), /262144/],
    [
      'eleven functions in a field',
      machine({ Parameters: { 'x.$': `${'States.Format('.repeat(11)}$.a${')'.repeat(11)}` } }),
      /10 functions/,
    ],
    ['8,192 characters of overrides', machine({ Parameters: { Overrides: { text: 'x'.repeat(8_192) } } }), /overrides/],
    ['a state that is not there', { StartAt: 'a', States: { a: { ...task, Next: 'b' } as unknown as Task } }, /not there/],
  ])('%s', (_, definition, wanted) => {
    expect(faultsOf(definition).join('\n')).toMatch(wanted);
  });

  test('nothing, where nothing is wrong', () => {
    expect(
      faultsOf(
        machine({
          Retry: [
            { ErrorEquals: ['X'], MaxAttempts: 1 },
            { ErrorEquals: ['States.ALL'], MaxAttempts: 1 },
          ],
        }),
      ),
    ).toEqual([]);
  });
});

describe('limits', () => {
  test('a stage that is tried more often than a history has room is refused', () => {
    const plan = planOf([{ id: 'stubborn', retry: { attempts: 10_000, delayMs: 1000, maxDelayMs: 1000 } }]);
    expect(() => compileStateMachines(plan, settings)).toThrow(/40,0\d\d events, of which an execution has 25,000.*"stubborn"/s);
  });

  test('a thousand stages become several machines, none of which is near a limit', () => {
    const plan = planOf(Array.from({ length: 1000 }, (_, at) => ({ id: `s${at}`, needs: at < 10 ? [] : [`s${at - 10}`], retry })));
    const { main, others } = compileStateMachines(plan, settings);
    expect(others.length).toBeGreaterThan(0);
    for (const { weight } of [main, ...others]) {
      expect(weight.events).toBeLessThan(15_200);
      expect(weight.bytes).toBeLessThan(920_000);
    }
    const stages = [main, ...others].flatMap(({ definition }) => allStates(definition)).filter(([name]) => /^s\d+$/.test(name));
    expect(stages).toHaveLength(1000);
  });

  test('long and foreign names are shortened with a hash, and stay apart', () => {
    const ids = ['x'.repeat(90), `${'x'.repeat(90)}y`, 'größe', 'a/b', 'done', 'partial'];
    const { main } = compileStateMachines(planOf(ids.map((id) => ({ id, onFailure: 'continue' }))), settings);
    expect(faultsOf(main.definition)).toEqual([]);
    expect(allStates(main.definition).filter(([, { Type }]) => Type === 'Task')).toHaveLength(ids.length);
  });
});

/** What a task is told of its run. */
const inputOf = (parameters: Loose): string => {
  const variables = parameters['Overrides']?.['ContainerOverrides']?.[0]?.['Environment'] as unknown as { Name: string; Value: string }[];
  return variables.find(({ Name }) => Name === 'MILLRACE_INPUT')?.Value ?? '';
};

/** Runs the plan; answers how it ended and what was asked, in order. */
async function ran(plan: Parameters<typeof compileStateMachines>[0], answer: Answer = () => ({}), input: object = {}, more: object = {}) {
  const asked: Asked[] = [];
  const ended = await interpret(
    compileStateMachines(plan, { ...settings, ...more }),
    (one) => {
      asked.push(one);
      return answer(one);
    },
    input as never,
  );
  return { ...ended, asked };
}

describe('the input of an execution', () => {
  const day = (schedule: object = { kind: 'manual' }) =>
    planOf([{ id: 'glue' }], { steps: [remotes[0] as PlanStep], schedule: schedule as never, params: { country: 'FR', day: null } });
  const date = ({ asked }: { asked: Asked[] }) => asked[0]?.parameters['Arguments']?.['--date'];

  test('the run is named after the execution, its day is that of its time, and parameters have their defaults', async () => {
    const { output, error, asked } = await ran(day());
    expect(error).toBe(null);
    const { time } = output as { readonly time: string };
    expect(output).toMatchObject({ run: 'run-1', time: expect.stringMatching(/Z$/), date: time.slice(0, 10), params: { country: 'FR' } });
    expect(date({ asked })).toBe(time.slice(0, 10));
  });

  test('what is given counts', async () => {
    const given = { run: 'run-1', time: '2026-01-02T03:04:05Z', params: { day: 'x' }, window: { start: 'a', end: 'b' } };
    const { output, asked } = await ran(day(), undefined, given);
    expect(output).toMatchObject({ ...given, date: '2026-01-02', params: { country: 'FR', day: 'x' } });
    expect(date({ asked })).toBe('2026-01-02');
    expect(date(await ran(day(), undefined, { time: '2026-01-01T00:00:00Z', date: '2025-12-31' }))).toBe('2025-12-31');
    expect(date(await ran(day(), undefined, { date: null, time: '2025-12-30T23:00:00Z' }))).toBe('2025-12-30');
  });

  test("another run's input is refused, before anything has written into its record; one that goes on with a run is not", async () => {
    const copied = { run: 'run-0', time: '2026-01-02T03:04:05Z' };
    const second = { ...copied, execution: 'run-0-2', done: { glue: true }, reopened: 1 };
    const { run: _, ...withoutRun } = second;
    for (const given of [
      copied,
      second,
      withoutRun,
      { ...copied, reopened: 0 },
      { run: 7 },
      { run: null },
      { done: {} },
      { reopened: 1 },
    ]) {
      const { error, cause, asked } = await ran(day(), undefined, given);
      expect({ given, error, asked }).toEqual({ given, error: 'CONFIG_INVALID', asked: [] });
      expect(cause).toMatch(/Leave these and "execution" out/);
    }
    const { output, asked } = await ran(day(), undefined, { ...second, execution: 'run-1' });
    expect({ output, asked }).toMatchObject({ output: copied, asked: [] });
  });

  test('a day without its time is refused: what runs after it would go by another day', async () => {
    for (const schedule of [undefined, { kind: 'cron', expression: '0 6 * * *', timeZone: 'Europe/Paris' }]) {
      const { error, cause, asked } = await ran(day(schedule), undefined, { date: '2025-12-31' });
      expect({ error, asked }).toEqual({ error: 'CONFIG_INVALID', asked: [] });
      expect(cause).toMatch(/has a day \("date"\) and no time.*"time": "2026-03-29T04:00:00Z"/);
    }
  });

  test('the day of another time zone is that of UTC where it always is; else a worker, which knows, starts the job', async () => {
    const paris = { kind: 'cron', expression: '0 6 * * *', timeZone: 'Europe/Paris' };
    // At 00:30 in Paris it is the day before in UTC.
    for (const given of [{}, { time: '2026-03-28T23:30:00Z' }, { date: null }, { time: '2026-03-28T23:30:00Z', date: 'today' }]) {
      const { error, cause, asked } = await ran(day(paris), undefined, given);
      expect({ given, error, asked }).toEqual({ given, error: 'CONFIG_INVALID', asked: [] });
      expect(cause).toMatch(/Europe\/Paris.*"millrace run nightly --date 2026-03-29"/);
    }
    expect(date(await ran(day(paris), undefined, { time: '2026-03-28T23:30:00Z', date: '2026-03-29' }))).toBe('2026-03-29');
    const tokyo = { kind: 'cron', expression: '0 6 * * *', timeZone: 'Asia/Tokyo' };
    const { asked } = await ran(day(tokyo));
    expect(asked.map(({ call }) => call)).toEqual(['ecs:runTask.sync']);
    expect(
      compileStateMachines(day(tokyo), settings)
        .remarks.map(({ message }) => message)
        .join(),
    ).toMatch(/time zone/);
  });

  test('the day of a time that is not in UTC is not guessed', async () => {
    expect((await ran(day(), undefined, { time: '2026-03-29T23:30:00-02:00' })).error).toBe('CONFIG_INVALID');
    expect(date(await ran(day(), undefined, { time: '2026-03-29T23:30:00-02:00', date: '2026-03-30' }))).toBe('2026-03-30');
  });

  test('the day is known to states in machines that this one starts', async () => {
    const plan = planOf([{ id: 'a' }, { id: 'b', needs: ['a'] }, { id: 'glue', needs: ['b'] }], { steps: remotes });
    const machines = compileStateMachines(plan, settings, { events: 14, bytes: 900_000 });
    expect(allStates(machines.main.definition).map(([name]) => name)).not.toContain('glue');
    const dates: unknown[] = [];
    const answer: Answer = ({ call, parameters }) => {
      if (call.startsWith('glue')) dates.push(parameters['Arguments']?.['--date']);
      return {};
    };
    expect((await interpret(machines, answer, { time: '2026-03-29T04:00:00Z' })).error).toBe(null);
    expect(dates).toEqual(['2026-03-29']);
  });

  test('a part that a redrive begins anew does nothing, for nobody told it what the one before has done', async () => {
    const plan = planOf([{ id: 'a' }, { id: 'sns', needs: ['a'] }, { id: 'glue', needs: ['sns'] }], { steps: remotes });
    const { others, remarks } = compileStateMachines(plan, settings, { events: 16, bytes: 900_000 });
    expect(remarks.map(({ remedy }) => remedy).join()).toMatch(/millrace runs retry/);
    for (const { definition, name } of others) {
      const asked: Asked[] = [];
      const part = (redrives: number) =>
        startMachine(
          definition,
          { run: 'r', time: '2026-03-29T00:00:00Z', date: '2026-03-29', window: null, params: {}, done: {}, reopened: 0, redrives },
          {
            answer(one) {
              asked.push(one);
              return {};
            },
            execution: { Id: `arn:aws:states:eu-west-1:123456789012:execution:${name}:x`, Name: 'x' },
          },
        ).ended;
      expect(await part(1)).toMatchObject({ error: 'RUN_HELD', cause: expect.stringContaining('millrace runs retry') });
      expect(asked).toEqual([]);
      expect((await part(0)).error).toBe(null);
      expect(asked.length).toBeGreaterThan(0);
    }
  });

  test('a plan compiles to the same machine in every year', () => {
    // The clocks of Almaty went from six hours to five in 2024: at half past five it was the day before in UTC until then.
    const almaty = day({ kind: 'cron', expression: '30 5 * * *', timeZone: 'Asia/Almaty' });
    const texts = ['2022-01-15', '2026-07-15'].map((now) => {
      vi.setSystemTime(new Date(now));
      return JSON.stringify(compileStateMachines(almaty, settings).main.definition);
    });
    expect(new Set(texts).size).toBe(1);
  });
  afterEach(() => {
    vi.useRealTimers();
  });
});

describe('what has failed side by side', () => {
  /** Stages that may fail, each with one behind it; one behind all of those; behind that, as many again that may. */
  const wide = (width: number) => {
    const each = Array.from({ length: width }, (_, at) => at);
    return planOf([
      ...each.map((at) => ({ id: `a${at}`, onFailure: 'continue' as const })),
      ...each.map((at) => ({ id: `b${at}`, needs: [`a${at}`] })),
      { id: 'middle', needs: each.map((at) => `b${at}`) },
      ...each.map((at) => ({ id: `c${at}`, needs: ['middle'], onFailure: 'continue' as const })),
    ]);
  };

  test.each([1, 2, 10, 11, 25, 101])('is known behind it, however many may fail: %i', async (width) => {
    const fine = await ran(wide(width));
    expect([fine.error, fine.asked.length]).toEqual([null, 3 * width + 1]);
    const last = `a${width - 1}`;
    const { error, asked } = await ran(wide(width), (one) => {
      if (stageOf(one) === last) throw failure('States.TaskFailed');
      return {};
    });
    const others = Array.from({ length: width - 1 }, (_, at) => [`a${at}`, `b${at}`]).flat();
    expect([error, asked.map(stageOf).sort()]).toEqual(['PARTIAL', [...others, last].sort()]);
  });

  test('is told to tasks, and nothing else that may fail', async () => {
    const plan = planOf([
      { id: 'a', onFailure: 'continue' },
      { id: 'b', onFailure: 'continue' },
      { id: 'c', needs: ['a'] },
      { id: 'd', needs: ['a', 'b'] },
    ]);
    expect(compileStateMachines(plan, settings).barriers).toEqual([{ stage: 'c', waitsFor: ['b'] }]);
    const { asked } = await ran(plan, (one) => {
      if (stageOf(one) === 'b') throw failure('States.TaskFailed');
      return {};
    });
    const told = asked.map((one) => [stageOf(one), JSON.parse(inputOf(one.parameters)).failed]);
    expect(told).toEqual([
      ['a', {}],
      ['b', {}],
      ['c', { b: true }],
    ]);
  });

  test('is all that a scope leaves behind, also one of tasks that share a stage', () => {
    const plan = planOf([{ id: 'a', onFailure: 'continue' }, { id: 'b' }, { id: 'many', kind: 'rows', whole: false }]);
    const { main } = compileStateMachines(plan, { ...settings, splits: { many: 3 } });
    const ends = (scope: Definition) => Object.values(scope.States).flatMap((state) => ('End' in state ? [state.OutputPath] : []));
    const states = allStates(main.definition).map(([, state]) => state);
    const scopes = states.flatMap((state) =>
      state.Type === 'Parallel' ? state.Branches : state.Type === 'Map' ? [state.ItemProcessor] : [],
    );
    expect(scopes.map(ends)).toEqual([['$.failed', '$.failed'], [null], [null], [null, null, null]]);
  });

  test('is refused where all of it would not fit', () => {
    const compiled = (work: 'task' | 'activity') => () => compileStateMachines(wide(300), { ...settings, work }, limits);
    expect(compiled('activity')).toThrow(/brings more than 262144 bytes together where all fails that may/);
    expect(compiled('task')).toThrow(/hands \d+ characters of overrides to its task.*ECS takes 8192/);
    expect(compileStateMachines(wide(100), settings, limits).others).toEqual([]);
  });
});

describe('checks', () => {
  const checked = planOf([{ id: 'checked' }], { steps: [stepOf('checked', { description: { kind: 'check' } })] });
  const ended = (code: number) => failure('States.TaskFailed', JSON.stringify({ Containers: [{ Name: 'millrace', ExitCode: code }] }));

  test('data that is not good ends the execution under a name of its own', async () => {
    expect(
      (
        await ran(checked, () => {
          throw ended(5);
        })
      ).error,
    ).toBe('CHECK_FAILED');
    expect(
      (
        await ran(checked, () => {
          throw ended(1);
        })
      ).error,
    ).toBe('STAGE_FAILED');
    expect((await ran(checked)).error).toBe(null);
  });

  test('of several containers ours says how the stage ended, and a cause that is no description says nothing', async () => {
    const error = async (name: string, cause: string) =>
      (
        await ran(checked, () => {
          throw failure(name, cause);
        })
      ).error;
    const beside = (code: number, ours: number) =>
      JSON.stringify({
        Containers: [
          { Name: 'aws-guardduty-agent', ExitCode: code },
          { Name: 'millrace', ExitCode: ours },
        ],
      });
    expect(await error('States.TaskFailed', beside(0, 5))).toBe('CHECK_FAILED');
    expect(await error('States.TaskFailed', beside(5, 1))).toBe('STAGE_FAILED');
    expect(await error('ECS.AccessDeniedException', 'User is not authorized to perform: ecs:RunTask')).toBe('STAGE_FAILED');
    expect(await error('States.TaskFailed', '{"Containers":[{"Name":"mill')).toBe('STAGE_FAILED');
    expect(await error('States.TaskFailed', '')).toBe('STAGE_FAILED');
  });

  test('a stage that reports itself says so by its code', async () => {
    const by = { work: 'token' };
    expect(
      (
        await ran(
          checked,
          () => {
            throw failure('CHECK_FAILED');
          },
          {},
          by,
        )
      ).error,
    ).toBe('CHECK_FAILED');
    expect(
      (
        await ran(
          checked,
          () => {
            throw failure('TABLE_MISSING');
          },
          {},
          by,
        )
      ).error,
    ).toBe('TABLE_MISSING');
  });

  test('of errors that are told, those that may pass are tried again, and no others', async () => {
    const plan = planOf([{ id: 'a', retry }]);
    const tries = async (code: string) =>
      (
        await ran(
          plan,
          () => {
            throw failure(code);
          },
          {},
          { work: 'token' },
        )
      ).asked.length;
    expect(await tries('CONNECTION_FAILED')).toBe(4);
    expect(await tries('TABLE_MISSING')).toBe(1);
    expect(await tries('STAGE_FAILED')).toBe(1);
  });

  test('an attempt that was given back is none of those that the plan allows', async () => {
    const plan = planOf([{ id: 'a' }]);
    let given = 0;
    const { error, asked } = await ran(
      plan,
      () => {
        if (++given < 5) throw failure('SHUTDOWN');
        return {};
      },
      {},
      { work: 'activity' },
    );
    expect([error, asked.length]).toEqual([null, 5]);
  });
});

describe('splits', () => {
  const plan = (more: object = {}) =>
    planOf([
      { id: 'rows', kind: 'rows', whole: false, ...more },
      { id: 'after', needs: ['rows'] },
    ]);

  test('several tasks share a stage; one of them leads, and losing a helper loses nothing', async () => {
    const { error, asked } = await ran(
      plan(),
      ({ state }) => {
        if (state.includes('help')) throw failure('States.TaskFailed');
        return {};
      },
      {},
      { splits: { rows: 3 } },
    );
    expect(error).toBe(null);
    expect(asked.map(stageOf)).toEqual(['rows', 'rows', 'rows', 'after']);
    expect(asked.filter(({ state }) => state.includes('lead'))).toHaveLength(1);
  });

  test('where the leader fails, the stage fails; where it may, what is behind is skipped', async () => {
    const fails: Answer = ({ state }) => {
      if (state.includes('lead')) throw failure('States.TaskFailed');
      return {};
    };
    expect((await ran(plan(), fails, {}, { splits: { rows: 3 } })).error).toBe('States.TaskFailed');
    const { error, asked } = await ran(plan({ onFailure: 'continue' }), fails, {}, { splits: { rows: 3 } });
    expect(error).toBe('PARTIAL');
    expect(asked.map(stageOf)).not.toContain('after');
  });

  test('more than 40 are executions of their own', () => {
    const { main } = compileStateMachines(plan(), { ...settings, splits: { rows: 41 } });
    expect(allStates(main.definition).find(([, { Type }]) => Type === 'Map')?.[1]).toMatchObject({
      ItemProcessor: { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' } },
    });
  });
});

describe('work elsewhere', () => {
  const only = (name: string, stage: object = {}) =>
    planOf([{ id: name, ...stage }], { steps: remotes.filter((step) => step.name === name) });

  test('a Glue job that somebody stopped has not succeeded', async () => {
    expect((await ran(only('glue'), () => ({ JobRunState: 'STOPPED' }))).error).toBe('REMOTE_INTERRUPTED');
    expect((await ran(only('glue'), () => ({ JobRunState: 'SUCCEEDED' }))).error).toBe(null);
    expect((await ran(only('glue', { onFailure: 'continue' }), () => ({ JobRunState: 'STOPPED' }))).error).toBe('PARTIAL');
  });

  test('what is done already is not asked for, in whichever machine it is', async () => {
    const plan = planOf([{ id: 'glue' }, { id: 'a', needs: ['glue'] }, { id: 'sns', needs: ['a'] }], { steps: remotes });
    const machines = compileStateMachines(plan, settings);
    const parts = compileStateMachines(plan, settings, { events: 16, bytes: 900_000 });
    expect(parts.others.length).toBeGreaterThan(0);
    expect([...machines.native]).toEqual([
      ['glue', 'glue'],
      ['sns', 'sns'],
    ]);
    for (const compiled of [machines, parts]) {
      const asked: string[] = [];
      const answer: Answer = (one) => void asked.push(one.call.startsWith('ecs') ? stageOf(one) : one.state);
      expect((await interpret(compiled, answer, { execution: 'run-1', done: { glue: true }, reopened: 1 })).error).toBe(null);
      expect(asked).toEqual(['a', 'sns']);
    }
  });

  test('a machine says which of its states do the work of which stage', () => {
    const plan = planOf(
      [
        { id: 'glue', retry },
        { id: 'a', needs: ['glue'], onFailure: 'continue' },
      ],
      { steps: remotes },
    );
    const { main } = compileStateMachines(plan, settings);
    expect(main.states.get('glue')).toMatchObject({ stage: 'glue', passing: expect.arrayContaining(['States.Timeout']), guard: {} });
    expect(main.states.get('a')).toEqual({ stage: 'a', passing: null });
    expect(main.states.get('a failed')).toEqual({ stage: 'a', passing: null });
    expect(main.states.get('outcome')).toBe(undefined);
  });

  test('a job that failed is not started again; one that found no room is', async () => {
    const tries = async (error: string) =>
      (
        await ran(only('glue', { retry }), () => {
          throw failure(error);
        })
      ).asked.length;
    expect(await tries('States.TaskFailed')).toBe(1);
    expect(await tries('Glue.ConcurrentRunsExceededException')).toBe(4);
  });

  test('in another region, where it is more than one call, and where it must not run twice, a task of ours does it', () => {
    const elsewhere = remoteStep('glue', { service: 'glue', action: 'StartJobRun', region: 'us-east-1', parameters: { JobName: 'x' } });
    const several = remoteStep('lambda', {
      service: 'lambda',
      action: 'Invoke',
      facts: { native: false },
      parameters: { FunctionName: 'x' },
    });
    const steps = [elsewhere, several, ...statements];
    const { main, others, remarks, watched } = compileStateMachines(
      planOf(
        steps.map(({ name: id }) => ({ id })),
        { steps },
      ),
      settings,
    );
    const calls = allStates(main.definition).flatMap(([, state]) => (state.Type === 'Task' ? [state.Resource] : []));
    expect(calls).toEqual(Array(4).fill('arn:aws:states:::ecs:runTask.sync'));
    expect([others, [...watched].sort()]).toEqual([[], ['batch', 'glue', 'lambda', 'redshift']]);
    expect(remarks.filter(({ message }) => /watched by a task of ours/.test(message))).toHaveLength(4);
    expect(remarks.filter(({ message }) => /must not run twice/.test(message)).map(({ step }) => step)).toEqual(['redshift', 'batch']);
  });
});

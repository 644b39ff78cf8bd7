import { isMillraceError } from '@millrace/core/runtime';
import { describe, expect, test } from 'vitest';
import { interpret, type Loose } from '../../test/interpreter.ts';
import { planOf, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';
import { failedStages } from '../machine/flags.ts';
import { requestFromEnvironment, requestFromJson } from './request.ts';
import { taskVariables } from './variables.ts';

const plan = planOf(
  [
    { id: 'may-fail', onFailure: 'continue' },
    { id: 'loaded', kind: 'rows', whole: false },
  ],
  { params: { country: 'FR' } },
);
const execution = { time: '2026-03-29T00:00:00Z', window: { start: '2026-03-28T00:00:00Z', end: '2026-03-29T00:00:00Z' } };
const wanted = {
  pipeline: 'nightly',
  plan: plan.fingerprint,
  run: 'run-1',
  attempt: 0,
  redriveCount: 0,
  input: { ...execution, date: null, params: { country: 'FR' }, reopened: 0 },
};

/** What the states of the plan ask for, as an interpreter fills it in. */
async function asked(more: object): Promise<Loose[]> {
  const all: Loose[] = [];
  const machines = compileStateMachines(plan, { ...settings, splits: { loaded: 2 }, ...more });
  await interpret(
    machines,
    ({ parameters }) => {
      all.push(parameters);
      return {};
    },
    execution,
  );
  return all;
}

interface Container {
  readonly Command: readonly string[];
  readonly Environment: readonly { readonly Name: string; readonly Value: string }[];
}

const containerOf = (parameters: Loose) => parameters['Overrides']?.['ContainerOverrides']?.[0] as unknown as Container;

const environmentOf = (parameters: Loose): Record<string, string> =>
  Object.fromEntries(containerOf(parameters).Environment.map(({ Name, Value }) => [Name, Value]));

const byStage = (requests: { stage: string; place: number }[]) => requests.map(({ stage, place }) => `${stage} ${place}`).sort();

describe('what a state hands over is what is read', () => {
  test.each(['task', 'token'] as const)('by the environment of a %s', async (work) => {
    const requests = (await asked({ work })).map((parameters) => {
      const { Command } = containerOf(parameters);
      const [command, pipeline, , stage] = Command;
      expect(command).toBe('run-step');
      const env = environmentOf(parameters);
      expect(env['MILLRACE_TASK_TOKEN']).toBe(work === 'token' ? 'token' : undefined);
      expect(Object.keys(env).filter((name) => !(Object.values(taskVariables) as string[]).includes(name))).toEqual([]);
      return requestFromEnvironment(pipeline as string, stage as string, env);
    });
    expect(byStage(requests)).toEqual(['loaded 0', 'loaded 1', 'may-fail 0']);
    for (const request of requests) expect(request).toMatchObject(wanted);
  });

  test.each(['activity', { lambda: 'arn:aws:lambda:eu-west-1:123456789012:function:etl' }] as const)('as JSON, by %j', async (work) => {
    const requests = (await asked({ work })).map((parameters) => requestFromJson(work === 'activity' ? parameters : parameters['Payload']));
    expect(byStage(requests)).toEqual(['loaded 0', 'loaded 1', 'may-fail 0']);
    for (const request of requests) expect(request).toMatchObject(wanted);
  });
});

describe('what has failed', () => {
  test('is known by stage', () => {
    expect(failedStages(plan, { stage_1: true })).toEqual(['may-fail']);
    expect(failedStages(plan, { stage_1: false, loaded: true })).toEqual([]);
  });
});

const good = { MILLRACE_PLAN: 'f', MILLRACE_RUN: 'r', MILLRACE_INPUT: '{"time": "2026-03-29T00:00:00Z"}' };

describe('what is refused', () => {
  test.each([
    [{ MILLRACE_PLAN: '' }, /MILLRACE_PLAN is missing/],
    [
      { MILLRACE_RUN: undefined, MILLRACE_INPUT: undefined },
      /MILLRACE_RUN is missing; MILLRACE_INPUT|MILLRACE_INPUT is missing; MILLRACE_RUN is missing/,
    ],
    [{ MILLRACE_RUN: '../../etc' }, /MILLRACE_RUN is no name/],
    [{ MILLRACE_RUN: '..' }, /MILLRACE_RUN is no name/],
    [{ MILLRACE_RUN: 'x'.repeat(81) }, /MILLRACE_RUN is no name/],
    [{ MILLRACE_INPUT: '{' }, /MILLRACE_INPUT is not JSON/],
    [{ MILLRACE_INPUT: '[]' }, /MILLRACE_INPUT is not an object/],
    [{ MILLRACE_INPUT: '{}' }, /MILLRACE_INPUT\.time is no time/],
    [{ MILLRACE_INPUT: '{"time": "2026-03-29", "date": "tomorrow"}' }, /date is no day/],
    [{ MILLRACE_INPUT: '{"time": "2026-03-29", "window": {"start": 1}}' }, /window has no start and end/],
    [{ MILLRACE_INPUT: '{"time": "2026-03-29", "params": {"a": {}}}' }, /params\.a is not a text/],
    [{ MILLRACE_INPUT: '{"time": "2026-03-29", "reopened": -1}' }, /reopened is not a number/],
    [{ MILLRACE_INPUT: '{"time": "2026-03-29", "redrives": "1"}' }, /redrives is not a number/],
    [{ MILLRACE_ATTEMPT: 'two' }, /MILLRACE_ATTEMPT is not a number/],
    [{ MILLRACE_REDRIVE: '-1' }, /MILLRACE_REDRIVE is not a number/],
    [{ MILLRACE_PLACE: '1.5' }, /MILLRACE_PLACE is not a number/],
  ])('%j', (more, wanted) => {
    try {
      requestFromEnvironment('p', 's', { ...good, ...more });
      expect.unreachable();
    } catch (error) {
      expect(isMillraceError(error) && error.code).toBe('CONFIG_INVALID');
      expect((error as Error).message).toMatch(wanted);
    }
  });

  test('JSON that is for something else', () => {
    for (const value of [null, 'x', {}, { command: 'drop' }]) expect(() => requestFromJson(value)).toThrow(/command is not "run-step"/);
  });

  test('not parameters that are numbers, nor fields that nobody knows', () => {
    const MILLRACE_INPUT = '{"time": "2026-03-29T00:00:00Z", "params": {"n": 3, "b": true}, "done": {"x": true}, "reopened": 2}';
    expect(requestFromEnvironment('p', 's', { ...good, MILLRACE_INPUT, MILLRACE_REDRIVE: '1', MILLRACE_PLACE: '3' })).toMatchObject({
      redriveCount: 1,
      place: 3,
      input: { params: { n: '3', b: 'true' }, reopened: 2 },
    });
  });
});

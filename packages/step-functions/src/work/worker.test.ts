import type { PlanStage, StepFunctionsSettings } from '@millrace/core/runtime';
import { describe, expect, test } from 'vitest';
import { statements } from '../../test/everything.ts';
import { failure, interpret } from '../../test/interpreter.ts';
import { planOf, settings } from '../../test/plans.ts';
import type { Task } from '../asl.ts';
import { compileStateMachines } from '../compile.ts';

type Work = NonNullable<StepFunctionsSettings['work']>;
const lambda = { lambda: 'arn:aws:lambda:eu-west-1:123456789012:function:etl' };

describe('a stage of one attempt', () => {
  test.each([
    ['task', 'ECS.AmazonECSException'],
    ['task', 'AmazonECS.Unknown'],
    ['token', 'ECS.AmazonECSException'],
    ['token', 'ECS.InvalidParameterException'],
    // The task may have begun: it finds that in the record.
    ['token', 'ECS.SdkClientException'],
    [lambda, 'Lambda.TooManyRequestsException'],
    // Its process has ended without a word.
    [lambda, 'Sandbox.Timedout'],
    [lambda, 'Runtime.ExitError'],
    [lambda, 'Lambda.Unknown'],
  ] as [Work, string][])('by %j is begun again where it has not begun: %s', async (work, error) => {
    let begun = 0;
    const ended = await interpret(compileStateMachines(planOf([{ id: 'a' }]), { ...settings, work }), () => {
      if (++begun < 4) throw failure(error);
      return {};
    });
    expect([ended.error, begun]).toEqual([null, 4]);
  });

  test.each([
    ['task', 'States.TaskFailed'],
    ['token', 'ECS.ClusterNotFoundException'],
    ['token', 'CONNECTION_FAILED'],
    [lambda, 'Lambda.ResourceNotFoundException'],
  ] as [Work, string][])('by %j is not, where it has, or never can: %s', async (work, error) => {
    let begun = 0;
    const ended = await interpret(compileStateMachines(planOf([{ id: 'a' }]), { ...settings, work }), () => {
      begun++;
      throw failure(error);
    });
    expect([ended.error, begun]).toEqual([error, 1]);
  });
});

describe('how long a state waits for its task', () => {
  const seconds = (stage: Partial<PlanStage>, work: Work = 'task'): number | undefined => {
    const { main } = compileStateMachines(planOf([{ id: 'batch', ...stage }], { steps: stage.kind === 'remote' ? statements : [] }), {
      ...settings,
      work,
    });
    return (main.definition.States['batch'] as Task).TimeoutSeconds;
  };
  const timeoutMs = 60_000;
  const week = 7 * 24 * 60 * 60;

  test('is what the stage has, and what a task needs to start and stop', () => {
    expect(seconds({ timeoutMs })).toBe(360);
    expect(seconds({ timeoutMs }, 'token')).toBe(360);
    expect(seconds({})).toBe(undefined);
  });

  test('is longer where the stage may wait for room: its timeout counts its work', () => {
    expect(seconds({ timeoutMs, limits: [{ kind: 'pool', name: 'mart', most: 1 }] })).toBe(360 + week);
    expect(seconds({ timeoutMs, limits: [{ kind: 'connections', name: 'mart', most: 1 }] }, 'activity')).toBe(360 + week);
  });

  test('is longer where the stage has to end what it has begun at a service', () => {
    expect(seconds({ timeoutMs, kind: 'remote' })).toBe(960);
  });
});

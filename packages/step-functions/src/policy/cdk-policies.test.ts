import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { everything } from '../../test/everything.ts';
import { planOf, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';
import { machinePolicy } from './policy.ts';

type Plan = Parameters<typeof compileStateMachines>[0];
/** Actions, and whether on anything or on what the policy names. */
type Asked = Readonly<Record<string, 'any' | 'named'>>;

/** What the tasks of aws-cdk-lib ask for; scripts/cdk-policies.mjs writes it. */
const cdk: { readonly version: string; readonly actions: Readonly<Record<string, Asked>> } = JSON.parse(
  readFileSync(new URL('../../test/cdk-policies.json', import.meta.url), 'utf8'),
);
const of = (...calls: readonly string[]): Asked => Object.assign({}, ...calls.map((call) => cdk.actions[call]));

/** By the one stage that makes such a state. */
const stages: Readonly<Record<string, string>> = {
  'ecs:runTask.sync': 'ecs',
  'glue:startJobRun.sync': 'glue',
  'lambda:invoke': 'lambda',
  'events:putEvents': 'events',
  'sns:publish': 'sns',
};

function asked(plan: Plan, splits: Readonly<Record<string, number>> = {}): Asked {
  const all: Record<string, 'any' | 'named'> = {};
  for (const { Action, Resource } of machinePolicy(compileStateMachines(plan, { ...settings, splits }).grants, { log: 'off' }).Statement)
    for (const action of Action) if (all[action] !== 'any') all[action] = Resource.includes('*') ? 'any' : 'named';
  return all;
}

const planWith = (stage: string): Plan => planOf([{ id: stage }], { steps: everything.steps.filter(({ name }) => name === stage) });

/** The same actions, and on anything only where AWS's own has it so. */
function expectNoMore(ours: Asked, theirs: Asked): void {
  expect(Object.keys(ours).sort()).toEqual(Object.keys(theirs).sort());
  for (const [action, where] of Object.entries(ours)) if (where === 'any') expect(theirs[action], action).toBe('any');
}

describe(`beside AWS's own constructs (aws-cdk-lib ${cdk.version})`, () => {
  test.each(Object.entries(stages))('for %s we ask for the same, and for no more places', (call, stage) => {
    expectNoMore(asked(planWith(stage)), of(call));
  });

  test('and so for machines that are started, beside the stages in them', () => {
    const {
      'dms:DescribeReplicationTasks': looks,
      'dms:StartReplicationTask': starts,
      'dms:AddTagsToResource': marks,
      'dms:ListTagsForResource': reads,
      ...rest
    } = asked(planWith('dms'));
    expect({ looks, starts, marks, reads }).toEqual({ looks: 'any', starts: 'named', marks: 'named', reads: 'named' });
    expectNoMore(rest, of('states:startExecution.sync:2'));
  });

  test('and for a stage in many tasks at once', () => {
    const plan = planOf([{ id: 'many', kind: 'rows', whole: false }]);
    expectNoMore(asked(plan, { many: 100 }), of('ecs:runTask.sync', 'distributed map'));
  });
});

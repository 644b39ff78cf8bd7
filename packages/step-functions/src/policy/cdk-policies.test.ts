import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { everything } from '../../test/everything.ts';
import { planOf, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';
import { machinePolicy } from './policy.ts';

/** What the tasks of aws-cdk-lib ask for; scripts/cdk-policies.mjs writes it. */
const cdk: { readonly version: string; readonly actions: Readonly<Record<string, readonly string[]>> } = JSON.parse(
  readFileSync(new URL('../../test/cdk-policies.json', import.meta.url), 'utf8'),
);

/** By the one stage that makes such a state. */
const stages: Readonly<Record<string, string>> = {
  'ecs:runTask.sync': 'ecs',
  'glue:startJobRun.sync': 'glue',
  'lambda:invoke': 'lambda',
  'events:putEvents': 'events',
  'sns:publish': 'sns',
};

const actionsOf = (plan: Parameters<typeof compileStateMachines>[0]): string[] =>
  machinePolicy(compileStateMachines(plan, settings).grants, { log: 'off' })
    .Statement.flatMap(({ Action }) => Action)
    .sort();

test.each(Object.entries(stages))(`for %s we ask for what AWS's own constructs (${cdk.version}) ask for`, (call, stage) => {
  const plan = planOf([{ id: stage }], { steps: everything.steps.filter(({ name }) => name === stage) });
  expect([...new Set(actionsOf(plan))]).toEqual(cdk.actions[call]);
});

test('and so for machines that are started, beside the stages in them', () => {
  const plan = planOf([{ id: 'dms' }], { steps: everything.steps.filter(({ name }) => name === 'dms') });
  const wanted = cdk.actions['states:startExecution.sync:2'] as readonly string[];
  expect(actionsOf(plan)).toEqual(['dms:DescribeReplicationTasks', 'dms:StartReplicationTask', ...wanted].sort());
});

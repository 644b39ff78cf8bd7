import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { millrace } from './command.ts';
import { copyOrders, ordersTable, type TestProject, testProject } from './project.ts';

vi.setConfig({ testTimeout: 120_000 });

const config = `import { defineConfig } from '@millrace/core';
export default defineConfig({
  pipelines: 'pipelines/*.ts',
  environments: {
    local: {},
    prod: {
      stepFunctions: {
        region: 'eu-west-1',
        cluster: 'etl',
        subnets: ['subnet-0a1b2c3d'],
        securityGroups: ['sg-0a1b2c3d'],
        image: '123456789012.dkr.ecr.eu-west-1.amazonaws.com/etl:4f2a91c',
      },
    },
  },
});
`;

let project: TestProject;
const run = (...args: string[]) => millrace(args, { cwd: project.root });

beforeAll(() => {
  project = testProject({ 'millrace.config.ts': config, 'pipelines/copy-orders.ts': copyOrders, 'tables/shop.ts': ordersTable });
});
afterAll(() => project[Symbol.dispose]());

test('compile writes the machine, its policy and a template, and says where', async () => {
  const { code, stdout, stderr } = await run('compile', 'copy-orders', '--to', 'step-functions', '--env', 'prod', '--out', 'aws');
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('is tried again') });
  const files = ['copy-orders.asl.json', 'copy-orders.policy.json', 'copy-orders.template.json'];
  expect(readdirSync(join(project.root, 'aws')).sort()).toEqual(files);
  expect(stdout.trim().split('\n').sort()).toEqual(files.map((file) => expect.stringMatching(new RegExp(`/aws/${file}$`))));
  const template = JSON.parse(readFileSync(join(project.root, 'aws', 'copy-orders.template.json'), 'utf8'));
  const definition = JSON.parse(readFileSync(join(project.root, 'aws', 'copy-orders.asl.json'), 'utf8'));
  expect(JSON.parse(template.Resources.StateMachine.Properties.DefinitionString)).toEqual(definition);
  expect(JSON.stringify(template.Resources.TaskDefinition)).toContain('"Name":"MILLRACE_ENV","Value":"prod"');
});

test('an environment that does not say where its machines run is told what to write', async () => {
  const { code, stderr } = await run('compile', 'copy-orders', '--to', 'step-functions');
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('stepFunctions: { region, cluster') });
});

test('a run there needs a state database that tasks can reach, and a scheduler would start what EventBridge starts', async () => {
  const { code, stderr } = await run('run', 'copy-orders', '--executor', 'step-functions', '--env', 'prod');
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining("state: secret('STATE_URL')") });
  project.write({ 'machines.config.ts': config.replace('prod: {', "prod: { executor: 'step-functions',") });
  for (const [verb, said] of [
    [['scheduler'], 'would start it once more'],
    [['dev'], 'has state machines'],
    [['backfill', 'create', 'copy-orders', '--range', '2026-03-01..2026-03-08'], 'millrace run <pipeline> --date'],
    [['schedule', 'pause', 'copy-orders'], 'in EventBridge'],
  ] as const) {
    const refused = await run(...verb, '--config', 'machines.config.ts', '--env', 'prod');
    expect({ code: refused.code, stderr: refused.stderr }).toEqual({ code: 2, stderr: expect.stringContaining(said) });
  }
});

test('plan says what Step Functions does otherwise, also without settings, and what a run costs', async () => {
  const plain = await run('plan', 'copy-orders', '--executor', 'step-functions');
  expect({ code: plain.code, stdout: plain.stdout }).toEqual({
    code: 0,
    stdout: expect.stringContaining('Every error of "copied" is tried again'),
  });
  const cost = await run('plan', 'copy-orders', '--executor', 'step-functions', '--cost', '--minutes', '10', '--env', 'prod', '--json');
  expect(cost.json()[0]).toMatchObject({
    executor: 'step-functions',
    barriers: [],
    cost: { lines: [{ what: 'Step Functions', unit: 'state transitions' }, { what: 'Fargate, 1 task(s)' }, {}, {}] },
  });
});

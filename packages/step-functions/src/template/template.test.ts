import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec';
import type { Schedule } from '@millrace/core/runtime';
import { describe, expect, test } from 'vitest';
import { retry } from '../../test/everything.ts';
import type { Loose } from '../../test/interpreter.ts';
import { planOf, settings } from '../../test/plans.ts';
import { templates } from '../../test/templates.ts';
import { compileStateMachines } from '../compile.ts';
import { differences } from './difference.ts';
import { filledIn } from './fill.ts';
import { schedulesOf } from './schedule.ts';
import { type Template, templateOf, templateProblem } from './template.ts';

const specification = loadAwsServiceSpecSync();

describe.each(Object.entries(templates))('%s', (_, { Resources, Outputs }) => {
  test('every resource is of a type that AWS has, with properties that it has, and with those that it needs', () => {
    for (const [name, { Type, Properties }] of Object.entries(Resources)) {
      const resource = specification.lookup('resource', 'cloudFormationType', 'equals', Type).only();
      const known = Object.keys(resource.properties);
      expect([name, Object.keys(Properties).filter((property) => !known.includes(property))]).toEqual([name, []]);
      const needed = Object.entries(resource.properties).flatMap(([property, { required }]) => (required ? [property] : []));
      expect([name, needed.filter((property) => Properties[property] === undefined)]).toEqual([name, []]);
    }
  });

  test('what is referred to is there, and nothing is left to be filled in', () => {
    const text = JSON.stringify({ Resources, Outputs });
    const named = [...text.matchAll(/"Ref":"([^"]+)"|"Fn::GetAtt":\["([^"]+)"/g)].map(([, ref, get]) => ref ?? get ?? '');
    expect(named.filter((name) => !name.startsWith('AWS::') && !Resources[name])).toEqual([]);
    for (const { Properties } of Object.values(Resources)) {
      const { DefinitionString, DefinitionSubstitutions = {} } = Properties;
      if (typeof DefinitionString !== 'string') continue;
      const places = new Set([...DefinitionString.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name));
      expect([...places].sort()).toEqual(Object.keys(DefinitionSubstitutions as object).sort());
    }
  });
});

describe('schedules in the words of EventBridge', () => {
  const of = (schedule: Schedule) => schedulesOf(planOf([{ id: 'a' }], { schedule }));
  const cron = (expression: string) => of({ kind: 'cron', expression, timeZone: 'UTC' });

  test.each([
    ['0 2 * * *', 'cron(0 2 * * ? *)'],
    ['*/15 * * * *', 'cron(0,15,30,45 * * * ? *)'],
    ['30 6,18 * * 1-5', 'cron(30 6,18 ? * 2,3,4,5,6 *)'],
    ['0 0 * * sun', 'cron(0 0 ? * 1 *)'],
    ['0 0 * * 7', 'cron(0 0 ? * 1 *)'],
    ['0 6 1,15 * *', 'cron(0 6 1,15 * ? *)'],
    ['0 6 L * *', 'cron(0 6 L * ? *)'],
    ['0 6 1 jan,jul *', 'cron(0 6 1 1,7 ? *)'],
  ])('%s is %s', (expression, wanted) => {
    expect(cron(expression)).toMatchObject({ kind: 'times', expressions: [wanted] });
  });

  test('several times are several schedules, each once', () => {
    expect(cron('0 2 * * * | 30 12 * * * | 0 2 * * *')).toMatchObject({ expressions: ['cron(0 2 * * ? *)', 'cron(30 12 * * ? *)'] });
  });

  test.each([
    ['days of both kinds', { kind: 'cron', expression: '0 6 1 * 1', timeZone: 'UTC' }],
    ['steps of both kinds of days', { kind: 'cron', expression: '0 6 */2 * */2', timeZone: 'UTC' }],
    ['the last day beside others', { kind: 'cron', expression: '0 6 1,L * *', timeZone: 'UTC' }],
    ['folders of any depth behind a part of a name', { kind: 'files', pattern: 's3://landing/a*/**/*.csv' }],
    ['a part of a name behind folders of any depth', { kind: 'files', pattern: 's3://landing/**/a*.csv' }],
    ['one of several characters', { kind: 'files', pattern: 's3://landing/[ab].csv' }],
    ['files of this machine', { kind: 'files', pattern: 'file:./landing/*.csv' }],
    ['a channel of Postgres', { kind: 'notify', channel: 'orders' }],
  ] as [string, Schedule][])('%s are not guessed at', (_, schedule) => {
    expect(of(schedule)).toMatchObject({ kind: 'none', because: expect.any(String), remedy: expect.any(String) });
  });

  test('objects and other pipelines are events', () => {
    const objects = (pattern: string) => of({ kind: 'files', pattern: `s3://landing/${pattern}` });
    expect(objects('in/orders.csv')).toEqual({ kind: 'objects', bucket: 'landing', keys: ['in/orders.csv'], deeper: null });
    expect(objects('in/*/*.csv')).toEqual({ kind: 'objects', bucket: 'landing', keys: ['in/*/*.csv'], deeper: '*/*/*/*' });
    expect(objects('in/**/*.csv')).toEqual({ kind: 'objects', bucket: 'landing', keys: ['in/*.csv'], deeper: null });
    expect(objects('in/**/orders.csv')).toEqual({
      kind: 'objects',
      bucket: 'landing',
      keys: ['in/orders.csv', 'in/*/orders.csv'],
      deeper: null,
    });
    expect(objects('in/**')).toEqual({ kind: 'objects', bucket: 'landing', keys: ['in/*'], deeper: null });
    expect(of({ kind: 'success', of: 'upstream' })).toEqual({ kind: 'success', of: 'upstream' });
    expect(of({ kind: 'manual' })).toEqual({ kind: 'none' });
  });
});

describe('what a deployment leaves to executions that go on', () => {
  test('is the revision of the task definition with which they began', () => {
    for (const { Resources } of Object.values(templates).filter(({ Resources }) => Resources['TaskDefinition']))
      expect(Resources['TaskDefinition']).toMatchObject({ DeletionPolicy: 'Delete', UpdateReplacePolicy: 'Retain' });
  });
});

test('workers of an activity get stages of their own version, and those of before can end theirs', () => {
  const activity = (fingerprint: string) => {
    const plan = { ...planOf([{ id: 'a' }]), fingerprint };
    const { Resources, Outputs } = templateOf(plan, compileStateMachines(plan, { ...settings, work: 'activity' }), {
      ...settings,
      work: 'activity',
    });
    expect(Outputs['ActivityArn']).toEqual({ Value: { Ref: 'Activity' } });
    expect(Resources['Activity']).toMatchObject({ UpdateReplacePolicy: 'Retain' });
    return Resources['Activity']?.Properties['Name'];
  };
  expect([activity('a'.repeat(64)), activity('b'.repeat(64))]).toEqual(['millrace-nightly-aaaaaaaa', 'millrace-nightly-bbbbbbbb']);
});

describe('the role of the machines is taken by', () => {
  const takers = ({ Resources }: Pick<Template, 'Resources'>): string[] => {
    const trust = Resources['MachineRole']?.Properties['AssumeRolePolicyDocument'] as Loose | undefined;
    const arns: unknown = trust?.['Statement']?.[0]?.['Condition']?.['ArnLike']?.['aws:SourceArn'];
    return ([arns].flat() as { 'Fn::Sub': string }[]).map(({ 'Fn::Sub': arn }) => arn.replace(/^.*:stateMachine:/, ''));
  };

  test('the machines of the pipeline, by their names, and their iterations', () => {
    expect(takers(templates['tasks, on a schedule'] as Template).sort()).toEqual([
      'millrace-nightly',
      'millrace-nightly-dms-replication',
      'millrace-nightly-dms-task',
      'millrace-nightly-starter',
      'millrace-nightly/*',
    ]);
    expect(takers(templates['two stages'] as Template)).toEqual(['millrace-small']);
  });

  test('very many parts, in the 2,048 characters that IAM takes', () => {
    const plan = planOf(Array.from({ length: 400 }, (_, at) => ({ id: `s${at}`, needs: at === 0 ? [] : [`s${at - 1}`] })));
    const machines = compileStateMachines(plan, settings, { events: 300, bytes: 900_000 });
    expect(machines.others.length).toBeGreaterThan(30);
    const template = templateOf(plan, machines, settings);
    expect(takers(template)).toEqual(expect.arrayContaining(['millrace-nightly', 'millrace-nightly-part-?', 'millrace-nightly-part-??']));
    const text = JSON.stringify(template.Resources['MachineRole']?.Properties['AssumeRolePolicyDocument']);
    expect(text.length).toBeLessThan(2_048);
  });
});

test('a template that CloudFormation would not take is told, with what to do', () => {
  const plan = planOf(Array.from({ length: 1000 }, (_, at) => ({ id: `s${at}`, needs: at < 10 ? [] : [`s${at - 10}`], retry })));
  const problem = templateProblem(templateOf(plan, compileStateMachines(plan, settings), settings));
  expect(problem).toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringMatching(/has 1,\d{3},\d{3} bytes.*takes 1,048,576/),
    remedy: expect.stringContaining('onSuccess'),
  });
  for (const template of Object.values(templates)) expect(templateProblem(template)).toBe(null);
});

test('places are filled in, and variables of IAM stay', () => {
  const places = { RoleArn: { 'Fn::GetAtt': ['Role', 'Arn'] } };
  expect(filledIn(['plain', '${RoleArn}', 'arn:${Partition}:sns:${Region}:${Account}:x', '${RoleArn}/*', '${aws:userid}'], places)).toEqual(
    [
      'plain',
      { 'Fn::GetAtt': ['Role', 'Arn'] },
      { 'Fn::Sub': 'arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:x' },
      { 'Fn::Sub': ['${RoleArn}/*', { RoleArn: { 'Fn::GetAtt': ['Role', 'Arn'] } }] },
      '${aws:userid}',
    ],
  );
});

test('a difference is told state by state', () => {
  const machine = (seconds: number) => ({
    Resources: {
      StateMachine: {
        Type: 'AWS::StepFunctions::StateMachine',
        Properties: { DefinitionString: JSON.stringify({ States: { a: { TimeoutSeconds: seconds } } }) },
      },
    },
  });
  const before = { Resources: { ...machine(60).Resources, Old: { Type: 'AWS::SQS::Queue', Properties: {} } } };
  expect(differences(before, machine(60))).toEqual([{ sign: '-', what: 'Old (AWS::SQS::Queue)', details: [] }]);
  expect(differences(machine(60), machine(90))).toEqual([
    {
      sign: '~',
      what: 'StateMachine (AWS::StepFunctions::StateMachine)',
      details: ['Properties.DefinitionString.States.a.TimeoutSeconds: 60 → 90'],
    },
  ]);
  expect(differences(null, machine(60))).toMatchObject([{ sign: '+' }]);
  expect(differences(machine(60), machine(60))).toEqual([]);
});

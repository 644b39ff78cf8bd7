// What AWS's own construct library asks for, task by task, and whether on anything (`any`) or on what it names: packages/step-functions/test/cdk-policies.json,
// with which ours are compared.
// It has 186 MB, so nothing here depends on it: install aws-cdk-lib and constructs in a folder, then "node scripts/cdk-policies.mjs <folder>".
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { root } from './setup.mjs';

const [named] = process.argv.slice(2);
if (!named) throw new Error('Name the folder in which aws-cdk-lib is installed.');
const folder = resolve(named);
const require = createRequire(join(folder, 'package.json'));
/** @param {string} module */
const fromFolder = (module) => require(module);
const cdk = fromFolder('aws-cdk-lib');
const { aws_ecs: ecs, aws_ec2: ec2, aws_events: events, aws_lambda: lambda, aws_sns: sns, aws_stepfunctions: sfn } = cdk;
const tasks = cdk.aws_stepfunctions_tasks;
const runJob = sfn.IntegrationPattern.RUN_JOB;

/** @type {Record<string, (stack: object) => unknown>} */
const made = {
  'ecs:runTask.sync': (stack) => {
    const definition = new ecs.FargateTaskDefinition(stack, 'Definition');
    definition.addContainer('c', { image: ecs.ContainerImage.fromRegistry('x:1'), logging: ecs.LogDrivers.awsLogs({ streamPrefix: 'x' }) });
    const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 1, natGateways: 0 });
    const cluster = new ecs.Cluster(stack, 'Cluster', { vpc });
    return new tasks.EcsRunTask(stack, 'T', {
      integrationPattern: runJob,
      cluster,
      taskDefinition: definition,
      launchTarget: new tasks.EcsFargateLaunchTarget(),
      assignPublicIp: true,
      subnets: { subnetType: ec2.SubnetType.PUBLIC },
    });
  },
  'glue:startJobRun.sync': (stack) => new tasks.GlueStartJobRun(stack, 'T', { glueJobName: 'sales', integrationPattern: runJob }),
  'lambda:invoke': (stack) =>
    new tasks.LambdaInvoke(stack, 'T', {
      lambdaFunction: lambda.Function.fromFunctionArn(stack, 'F', 'arn:aws:lambda:eu-west-1:123456789012:function:clean'),
    }),
  'events:putEvents': (stack) =>
    new tasks.EventBridgePutEvents(stack, 'T', {
      entries: [{ detail: sfn.TaskInput.fromObject({}), detailType: 'x', source: 'x', eventBus: new events.EventBus(stack, 'Bus') }],
    }),
  'sns:publish': (stack) =>
    new tasks.SnsPublish(stack, 'T', { topic: new sns.Topic(stack, 'Topic'), message: sfn.TaskInput.fromText('x') }),
  'states:startExecution.sync:2': (stack) =>
    new tasks.StepFunctionsStartExecution(stack, 'T', {
      stateMachine: new sfn.StateMachine(stack, 'Other', { definitionBody: sfn.DefinitionBody.fromChainable(new sfn.Pass(stack, 'P')) }),
      integrationPattern: runJob,
    }),
  'distributed map': (stack) => new sfn.DistributedMap(stack, 'T').itemProcessor(new sfn.Pass(stack, 'P')),
};

/** @param {(stack: object) => unknown} make */
function actionsOf(make) {
  const app = new cdk.App({ outdir: join(folder, 'cdk.out') });
  const stack = new cdk.Stack(app, 'S', { env: { region: 'eu-west-1', account: '123456789012' } });
  new sfn.StateMachine(stack, 'Machine', { definitionBody: sfn.DefinitionBody.fromChainable(make(stack)) });
  const { Resources } = app.synth().getStackArtifact(stack.artifactId).template;
  const policies = Object.entries(Resources).filter(([name, { Type }]) => Type === 'AWS::IAM::Policy' && name.startsWith('Machine'));
  /** @type {Record<string, 'any' | 'named'>} */
  const asked = {};
  for (const [, { Properties }] of policies)
    for (const { Action, Resource } of Properties.PolicyDocument.Statement)
      for (const action of [Action].flat()) if (asked[action] !== 'any') asked[action] = [Resource].flat().includes('*') ? 'any' : 'named';
  return Object.fromEntries(Object.entries(asked).sort(([one], [other]) => (one < other ? -1 : 1)));
}

const table = {
  version: fromFolder('aws-cdk-lib/package.json').version,
  actions: Object.fromEntries(Object.entries(made).map(([name, make]) => [name, actionsOf(make)])),
};
writeFileSync(join(root, 'packages/step-functions/test/cdk-policies.json'), `${JSON.stringify(table, null, 2)}\n`);

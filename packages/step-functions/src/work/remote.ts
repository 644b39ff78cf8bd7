import type { Json, PlanStage, PlanStep, RemoteDescription } from '@millrace/core/runtime';
import type { Task, Template, Test } from '../asl.ts';
import { machineName } from '../machine/names.ts';
import { arnOf, integration, type Site } from '../machine/site.ts';
import type { Grant } from '../policy/grant.ts';
import { ecsErrors, eventsErrors, glueErrors, lambdaErrors, rdsDataErrors, snsErrors, startErrors } from './call-errors.ts';
import { dmsHelper, dmsInput } from './dms.ts';
import { retriers } from './retry.ts';
import { argument, filled, uses } from './run-value.ts';
import { clusterArn, ecsGrants, invokeGrant } from './worker.ts';

/** A plan's description of work elsewhere, as JSON. */
export type Described = RemoteDescription & { readonly parameters: Readonly<Record<string, Json>> };

/** A state that does the work by itself. */
export interface Native {
  readonly kind: 'native';
  readonly task: Pick<Task, 'Resource' | 'TimeoutSeconds' | 'Retry' | 'ResultSelector' | 'ResultPath'> & { readonly Parameters: Template };
  /** Of ends that Step Functions takes for success and that are none. */
  readonly guard?: Test;
}

/** Why one of our workers must watch it instead. */
export interface Watched {
  readonly kind: 'worker';
  readonly because: string;
}

export const describedOf = (step: PlanStep): Described => step.description as unknown as Described;

export function nativeTask(step: PlanStep, stage: PlanStage, site: Site): Native | Watched {
  const described = describedOf(step);
  if (described.region !== null && described.region !== site.settings.region)
    return worker(`it is in ${described.region}, and a state machine of ${site.settings.region} calls services of its own region only`);
  if (described.facts['native'] === false) return worker('it is more than one call of the service');
  const asksDay = uses(described.parameters, 'date');
  if (asksDay && site.day.kind === 'worker')
    return worker("the day that it is given is one of the schedule's time zone, which a state machine cannot find out");
  const call = calls[described.service]?.(described, site, stage.id);
  if (call === undefined) return worker(`Step Functions has no integration for ${described.service} ${described.action}`);
  if ('because' in call) return worker(call.because);
  const template = filled(call.parameters);
  if ('impossible' in template) return worker(template.impossible);
  if (asksDay) site.day.used = true;
  site.grants.push(...call.grants);
  if (call.losesStarts && described.starts === 'once')
    site.remarks.push({
      step: stage.id,
      message: `"${stage.id}" is started at least once here, not once: what came of a start whose answer is lost, Step Functions does not find.`,
      remedy: 'Have the work bear it; a Glue job that allows one run at a time refuses a second one.',
    });
  return {
    kind: 'native',
    task: {
      Resource: call.resource,
      Parameters: { ...(template.template as Template), ...call.token },
      ...(call.result ?? { ResultPath: null }),
      ...(stage.timeoutMs === null ? {} : { TimeoutSeconds: Math.ceil(stage.timeoutMs / 1000) }),
      ...retriers(stage, [...call.passing, ...(call.endsInTime ? ['States.Timeout'] : [])]),
    },
    ...(call.guard && { guard: call.guard }),
  };
}

const worker = (because: string): Watched => ({ kind: 'worker', because });

type Call =
  | {
      readonly resource: string;
      readonly parameters: Json;
      /** What makes a repeated call none. */
      readonly token?: Template;
      readonly grants: readonly Grant[];
      /** Errors after which another attempt may succeed; work that failed is a person's matter, as on every executor. */
      readonly passing: readonly string[];
      /** Step Functions ends the work where its state has timed out (`.sync`), so that no other attempt runs beside it. */
      readonly endsInTime?: true;
      /** What came of a start whose answer is lost is not found again, as it is on other executors. */
      readonly losesStarts?: true;
      /** What is kept of the result in the state: what the guard reads. Nothing by default; the run's record reads the history. */
      readonly result?: Required<Pick<Task, 'ResultSelector' | 'ResultPath'>>;
      readonly guard?: Test;
    }
  | { readonly because: string };

const calls: Readonly<Record<string, (described: Described, site: Site, stage: string) => Call | undefined>> = {
  glue: ({ action, parameters }, site) => {
    if (action !== 'StartJobRun') return undefined;
    return {
      resource: integration(site, 'glue:startJobRun.sync'),
      parameters,
      grants: [
        {
          actions: ['glue:StartJobRun', 'glue:GetJobRun', 'glue:GetJobRuns', 'glue:BatchStopJobRun'],
          resources: [own('glue', `job/${text(parameters['JobName'])}`)],
        },
      ],
      passing: glueErrors,
      endsInTime: true,
      losesStarts: true,
      result: { ResultSelector: { 'JobRunState.$': '$.JobRunState' }, ResultPath: '$.job' },
      // A job that somebody stopped has not done its work.
      guard: {
        And: [
          { Variable: '$.job.JobRunState', IsPresent: true },
          { Variable: '$.job.JobRunState', StringEquals: 'STOPPED' },
        ],
      },
    };
  },
  lambda: ({ action, parameters }, site) => {
    if (action !== 'Invoke') return undefined;
    return {
      resource: integration(site, 'lambda:invoke'),
      parameters,
      grants: [invokeGrant(text(parameters['FunctionName']))],
      passing: lambdaErrors,
    };
  },
  ecs: ({ action, parameters }, site, stage) => {
    if (action !== 'RunTask') return undefined;
    const definition = text(parameters['TaskDefinition']);
    // Without a revision it is the newest, and is looked up before what may be started is.
    const revised = /:\d+$/.test(definition) ? definition : `${definition}:*`;
    const whole = definition.startsWith('arn:') ? revised : own('ecs', `task-definition/${revised}`);
    return {
      resource: integration(site, 'ecs:runTask.sync'),
      parameters,
      grants: ecsGrants(whole, handedOver(site, stage), clusterArn(text(parameters['Cluster']) || 'default'), true),
      passing: ecsErrors,
      endsInTime: true,
      losesStarts: true,
    };
  },
  events: ({ action, parameters }, site) => {
    if (action !== 'PutEvents') return undefined;
    const entries = (parameters['Entries'] as readonly Readonly<Record<string, Json>>[] | undefined) ?? [];
    const buses = new Set(entries.map(({ EventBusName }) => text(EventBusName) || 'default'));
    return {
      resource: integration(site, 'events:putEvents'),
      parameters,
      grants: [
        {
          actions: ['events:PutEvents'],
          resources: [...buses].map((bus) => (bus.startsWith('arn:') ? bus : own('events', `event-bus/${bus}`))),
        },
      ],
      passing: eventsErrors,
    };
  },
  sns: ({ action, parameters, facts }, site, stage) => {
    if (action !== 'Publish') return undefined;
    return {
      resource: integration(site, 'sns:publish'),
      parameters,
      ...(facts['fifo'] === true && {
        token: { 'MessageDeduplicationId.$': `States.Hash(States.Format('{}/{}/{}', $.run, ${argument(stage)}, $.reopened), 'SHA-256')` },
      }),
      grants: [{ actions: ['sns:Publish'], resources: [text(parameters['TopicArn']) || '*'] }],
      passing: snsErrors,
    };
  },
  'rds-data': ({ action, parameters }, site) => {
    const call = { ExecuteStatement: 'executeStatement', BatchExecuteStatement: 'batchExecuteStatement' }[action];
    if (call === undefined) return undefined;
    return {
      resource: integration(site, `aws-sdk:rdsdata:${call}`),
      parameters,
      grants: [
        { actions: [`rds-data:${action}`], resources: [text(parameters['ResourceArn'])] },
        { actions: ['secretsmanager:GetSecretValue'], resources: [text(parameters['SecretArn'])] },
      ],
      passing: rdsDataErrors,
    };
  },
  // A token is good for some hours, a list of statements for a day, and an execution may be redriven for two weeks.
  'redshift-data': () => ({ because: 'a statement must not run twice, and only the state database knows for long that it was started' }),
  dms: (described, site, stage) => {
    const input = dmsInput(described, stage);
    return input
      ? helped(
          dmsHelper(input.kind, input.stops, site),
          { ...input.fields, wait: { seconds: Math.max(1, Math.ceil(described.pollMs / 1000)) } },
          input.grants,
          site,
        )
      : undefined;
  },
};

/** Work that is watched by looking, in a machine of its own: looks would fill the history of this one. */
function helped(
  helper: { readonly id: string; readonly suffix: string },
  input: Readonly<Record<string, Json>>,
  grants: readonly Grant[],
  site: Site,
): Call {
  return {
    resource: integration(site, 'states:startExecution.sync:2'),
    parameters: { StateMachineArn: arnOf(helper.id), Input: input },
    grants: [...grants, ...startGrants(helper.suffix, site)],
    passing: startErrors,
  };
}

/** Roles that a task definition of somebody else names, which is nowhere in a plan. */
function handedOver({ settings: { roles = {} }, remarks }: Site, stage: string): readonly string[] {
  const { passed = [] } = roles;
  if (passed.length === 0)
    remarks.push({
      step: stage,
      message: `"${stage}" starts a task whose definition may name roles, and the state machine may hand over none that is not named: ECS refuses the task then.`,
      remedy: "Name its roles: stepFunctions: { roles: { passed: ['arn:aws:iam::123456789012:role/report'] } }.",
    });
  return passed;
}

/** What starting a machine of this name needs. */
export const startGrant = (machine: string): Grant => ({
  actions: ['states:StartExecution'],
  resources: [own('states', `stateMachine:${machine}`)],
});

/** What starting another machine and waiting for it needs. */
export function startGrants(suffix: string, { plan }: Pick<Site, 'plan'>): Grant[] {
  const name = machineName(plan.pipeline, suffix);
  return [
    startGrant(name),
    { actions: ['states:DescribeExecution', 'states:StopExecution'], resources: [own('states', `execution:${name}:*`)] },
    {
      actions: ['events:PutTargets', 'events:PutRule', 'events:DescribeRule'],
      resources: [own('events', 'rule/StepFunctionsGetEventsForStepFunctionsExecutionRule')],
    },
  ];
}

/** What starting the iterations of a distributed Map needs: each is an execution of the machine itself, whose name this is. */
export function mapGrants(name: string): Grant[] {
  return [
    startGrant(name),
    { actions: ['states:DescribeExecution', 'states:StopExecution'], resources: [own('states', `execution:${name}:*`)] },
    // Redriven with the machine, each by itself.
    { actions: ['states:RedriveExecution'], resources: [own('states', `execution:${name}/*:*`)] },
  ];
}

/** An ARN of the own account and region, as a template fills it in. */
export const own = (service: string, resource: string, region = '${Region}'): string =>
  `arn:\${Partition}:${service}:${region}:\${Account}:${resource}`;

const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

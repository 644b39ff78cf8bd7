import type { Definition, State, Template } from '../asl.ts';
import { type Schedules, schedulesOf } from '../template/schedule.ts';
import { startGrant } from '../work/remote.ts';
import { executionPrefix, machineName } from './names.ts';
import { arnOf, type Helper, integration, type Site, type States } from './site.ts';

type Trigger = Exclude<Schedules, { readonly kind: 'none' }>;

/**
 * The machine that EventBridge starts, which starts the pipeline's: EventBridge tells everything at least once, and cannot name an execution. A
 * name is given once in 90 days, so it is made of what a run of any executor is known by: the time of a schedule, a file and its etag, the
 * run that has succeeded. Who comes second ends well and has started nothing. Null where nothing starts the pipeline by itself.
 */
export function starterOf(site: Site): Helper | null {
  const trigger = schedulesOf(site.plan);
  if (trigger.kind === 'none') return null;
  site.grants.push(startGrant(machineName(site.plan.pipeline)));
  return { id: starterId, suffix: starterSuffix, definition: definition(trigger, site) };
}

/** Of its resource in the template. */
export const starterId = 'Starter';
export const starterSuffix = '-starter';

function definition(trigger: Trigger, site: Site): Definition {
  const { entry, states } = told(trigger, site);
  return {
    Comment: `Millrace: starts ${site.plan.pipeline} once for each of what EventBridge tells`,
    StartAt: entry,
    States: {
      ...states,
      start: {
        Type: 'Task',
        Resource: integration(site, 'states:startExecution'),
        Parameters: { StateMachineArn: arnOf('StateMachine'), 'Name.$': '$.name', 'Input.$': '$.input' },
        ResultPath: null,
        Retry: [
          { ErrorEquals: known, MaxAttempts: 0 },
          {
            ErrorEquals: ['States.ALL'],
            IntervalSeconds: 5,
            MaxAttempts: 12,
            BackoffRate: 2,
            MaxDelaySeconds: 300,
            JitterStrategy: 'FULL',
          },
        ],
        Catch: [{ ErrorEquals: known, ResultPath: null, Next: 'started before' }],
        Next: 'started',
      },
      started: { Type: 'Succeed' },
      'started before': { Type: 'Succeed' },
    },
  };
}

/** https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html */
const known = ['StepFunctions.ExecutionAlreadyExistsException', 'StepFunctions.ExecutionAlreadyExists'];

/** States that make `{ name, input }` of what EventBridge tells. */
function told(trigger: Trigger, site: Site): { readonly entry: string; readonly states: States } {
  const { plan, day } = site;
  const by = 'AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID';
  const execution = (name: string, input: Template): State => ({
    Type: 'Pass',
    Parameters: { 'name.$': name, input: { ...input, [`${by}.$`]: '$$.Execution.Id' } },
    Next: 'start',
  });
  const hashed = (kind: string, key: string): string => `States.Format('${kind}-{}', States.Hash(States.Format(${key}), 'SHA-256'))`;
  switch (trigger.kind) {
    case 'times': {
      const part = (at: number): string => `States.ArrayGetItem(States.StringSplit($.time, ':'), ${at})`;
      // Days of this zone are those of UTC, at every time of the schedule.
      const date = day.kind === 'local' ? { 'date.$': "States.ArrayGetItem(States.StringSplit($.time, 'T'), 0)" } : {};
      // `nightly-2026-03-29T01-00-00Z`: the names of executions have no colons.
      const name = `States.Format('${executionPrefix(plan.pipeline)}-{}-{}-{}', ${part(0)}, ${part(1)}, ${part(2)})`;
      return { entry: 'time', states: { time: execution(name, { 'time.$': '$.time', ...date }) } };
    }
    case 'objects': {
      const { deeper } = trigger;
      const tells = { file: '$.url', etag: '$.etag' };
      const params = Object.fromEntries(
        Object.entries(tells).flatMap(([param, path]) => (Object.hasOwn(plan.params, param) ? [[`${param}.$`, path]] : [])),
      );
      const states: States = {
        file: {
          Type: 'Pass',
          Parameters: {
            'url.$': "States.Format('s3://{}/{}', $.detail.bucket.name, $.detail.object.key)",
            'etag.$': '$.detail.object.etag',
            'time.$': '$.time',
          },
          Next: 'version',
        },
        version: execution(hashed('file', `'${plan.pipeline} file:{}@{}', $.url, $.etag`), { 'time.$': '$.time', params }),
      };
      if (deeper === null) return { entry: 'file', states };
      return {
        entry: 'folder',
        states: {
          folder: {
            Type: 'Choice',
            Choices: [{ Variable: '$.detail.object.key', StringMatches: deeper, Next: 'not asked for' }],
            Default: 'file',
          },
          'not asked for': { Type: 'Succeed' },
          ...states,
        },
      };
    }
    case 'success':
      return {
        entry: 'success',
        states: {
          // The state in which it has ended: also where its input said nothing of all that.
          success: { Type: 'Pass', Parameters: { 'of.$': 'States.StringToJson($.detail.output)' }, Next: 'run' },
          run: execution(hashed('success', `'${plan.pipeline} success:{}', $.of.run`), {
            'time.$': '$.of.time',
            'window.$': '$.of.window',
          }),
        },
      };
    default:
      return trigger satisfies never;
  }
}

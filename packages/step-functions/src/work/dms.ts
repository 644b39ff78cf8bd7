import type { Json } from '@millrace/core/runtime';
import type { Definition, Test } from '../asl.ts';
import { type Helper, integration, type Site } from '../machine/site.ts';
import type { Grant } from '../policy/grant.ts';
import type { Described } from './remote.ts';

/** The longest pause between two looks: with it, a history holds nine days of them. */
const longestPause = 300;
const longestReplication = 8 * 24 * 60 * 60;

const busy = [
  'DatabaseMigration.ThrottlingException',
  'DatabaseMigration.InternalServerException',
  'DatabaseMigration.DatabaseMigrationException',
];
const patient = [
  { ErrorEquals: busy, IntervalSeconds: 5, MaxAttempts: 10, BackoffRate: 2, MaxDelaySeconds: 120, JitterStrategy: 'FULL' as const },
];

interface Kind {
  readonly start: string;
  readonly describe: string;
  readonly filter: string;
  readonly list: string;
  readonly type: string;
  readonly stats: string;
}

const kinds = {
  task: {
    start: 'startReplicationTask',
    describe: 'describeReplicationTasks',
    filter: 'replication-task-arn',
    list: 'ReplicationTasks',
    type: 'MigrationType',
    stats: 'ReplicationTaskStats',
  },
  serverless: {
    start: 'startReplication',
    describe: 'describeReplications',
    filter: 'replication-config-arn',
    list: 'Replications',
    type: 'ReplicationType',
    stats: 'ReplicationStats',
  },
} as const satisfies Record<string, Kind>;

/** What the machine that watches a replication is given: the three ways to start it, of which its state decides for one. */
export function dmsInput({ action, parameters, facts }: Described): {
  readonly kind: keyof typeof kinds;
  readonly fields: Readonly<Record<string, Json>>;
  readonly grants: readonly Grant[];
} | null {
  const kind = action === 'StartReplicationTask' ? 'task' : action === 'StartReplication' ? 'serverless' : null;
  if (kind === null) return null;
  const name = kind === 'task' ? 'ReplicationTaskArn' : 'ReplicationConfigArn';
  const type = kind === 'task' ? 'StartReplicationTaskType' : 'StartReplicationType';
  const arn = parameters[name];
  if (typeof arn !== 'string') return null;
  const { CdcStopPosition } = parameters;
  const ends = CdcStopPosition === undefined ? {} : { CdcStopPosition };
  return {
    kind,
    fields: {
      arn,
      until: facts['until'] ?? 'stopped',
      reload: facts['reload'] ?? false,
      // Where a stream begins may be said with its first start only.
      first: { ...parameters, [type]: 'start-replication' },
      resume: { [name]: arn, [type]: 'resume-processing', ...ends },
      again: { [name]: arn, [type]: 'reload-target', ...ends },
    },
    grants: [
      { actions: [`dms:${action}`], resources: [arn] },
      { actions: [kind === 'task' ? 'dms:DescribeReplicationTasks' : 'dms:DescribeReplications'], resources: ['*'] },
    ],
  };
}

/** A replication, started as its state asks for and watched until it has ended well, or not. */
export function dmsHelper(kind: keyof typeof kinds, site: Site): Helper {
  const id = kind === 'task' ? 'DmsTask' : 'DmsReplication';
  const known = site.helpers.get(id);
  if (known) return known;
  const suffix = kind === 'task' ? '-dms-task' : '-dms-replication';
  const helper = { id, suffix, definition: definition(kinds[kind], kind === 'task', site) };
  site.helpers.set(id, helper);
  return helper;
}

function definition(kind: Kind, provisioned: boolean, site: Site): Definition {
  const start = (from: string) =>
    ({
      Type: 'Task',
      Resource: integration(site, `aws-sdk:databasemigration:${kind.start}`),
      InputPath: from,
      ResultPath: null,
      Retry: patient,
      Next: 'wait',
    }) as const;
  const look = (into: string, next: string) =>
    ({
      Type: 'Task',
      Resource: integration(site, `aws-sdk:databasemigration:${kind.describe}`),
      Parameters: {
        Filters: [{ Name: kind.filter, 'Values.$': 'States.Array($.arn)' }],
        ...(provisioned ? { WithoutSettings: true } : {}),
      },
      ResultSelector: { 'one.$': `$.${kind.list}[0]` },
      ResultPath: into,
      Retry: patient,
      Next: next,
    }) as const;
  const was = (name: string, text: string): Test => is(`$.before.one.${name}`, text);
  const startable: Test = { Or: [was('Status', 'stopped'), was('Status', 'failed')] };
  const reload: Test = {
    Or: [
      { Variable: '$.reload', BooleanEquals: true },
      was(kind.type, 'full-load'),
      less(`$.before.one.${kind.stats}.FullLoadProgressPercent`),
    ],
  };
  const now = '$.seen.one';
  const loaded: Test = {
    Or: [
      is(`${now}.${kind.type}`, 'cdc'),
      {
        And: [
          number(`${now}.${kind.stats}.FullLoadProgressPercent`, 100),
          number(`${now}.${kind.stats}.TablesLoading`, 0),
          number(`${now}.${kind.stats}.TablesQueued`, 0),
        ],
      },
    ],
  };
  const stopped: Test = is(`${now}.Status`, 'stopped');
  return {
    Comment: `One replication of DMS ${provisioned ? 'on an instance' : 'without servers'}, watched to its end.`,
    StartAt: 'before',
    TimeoutSeconds: longestReplication,
    States: {
      before: look('$.before', 'how'),
      how: {
        Type: 'Choice',
        Choices: [
          { Or: [was('Status', 'ready'), was('Status', 'created')], Next: 'first start' },
          { And: [startable, was(kind.type, 'cdc')], Next: 'resume' },
          { And: [startable, reload], Next: 'reload' },
          { ...startable, Next: 'resume' },
        ],
        Default: 'not to be started',
      },
      'first start': start('$.first'),
      resume: start('$.resume'),
      reload: start('$.again'),
      wait: { Type: 'Wait', SecondsPath: '$.wait.seconds', Next: 'look' },
      look: look('$.seen', 'ended'),
      ended: {
        Type: 'Choice',
        Choices: [
          // For a while after a start, DMS tells of the stop before it.
          {
            And: [
              stopped,
              present(`$.before.one.${kind.stats}.StopDate`),
              present(`${now}.${kind.stats}.StopDate`),
              { Variable: `${now}.${kind.stats}.StopDate`, StringEqualsPath: `$.before.one.${kind.stats}.StopDate` },
            ],
            Next: 'wait',
          },
          { And: [stopped, present(`${now}.StopReason`), { Or: passing.map((reason) => ends(now, reason)) }], Next: 'wait' },
          {
            And: [stopped, loaded, { Or: [{ Not: present(`${now}.StopReason`) }, ...good.map((reason) => ends(now, reason))] }],
            Next: 'tables',
          },
          { Or: [stopped, is(`${now}.Status`, 'failed'), is(`${now}.Status`, 'deleting')], Next: 'failed' },
          { And: [is('$.until', 'loaded'), is(`${now}.Status`, 'running'), loaded], Next: 'tables' },
          { Variable: '$.wait.seconds', NumericGreaterThanEquals: longestPause, Next: 'wait' },
        ],
        Default: 'longer',
      },
      longer: {
        Type: 'Pass',
        Parameters: { 'seconds.$': 'States.MathAdd($.wait.seconds, $.wait.seconds)' },
        ResultPath: '$.wait',
        Next: 'wait',
      },
      tables: {
        Type: 'Choice',
        Choices: [
          {
            And: [
              present(`${now}.${kind.stats}.TablesErrored`),
              { Variable: `${now}.${kind.stats}.TablesErrored`, NumericGreaterThanEquals: 1 },
            ],
            Next: 'failed',
          },
        ],
        Default: 'done',
      },
      done: { Type: 'Succeed' },
      failed: {
        Type: 'Fail',
        Error: 'REMOTE_FAILED',
        Cause: 'DMS ended the replication before its end, or with tables in error. "seen" in the input of this state says why.',
      },
      'not to be started': {
        Type: 'Fail',
        Error: 'REMOTE_UNAVAILABLE',
        Cause:
          'The replication is neither new nor stopped, so it cannot be started. "before" in the input of this state says what it is. Stop it, if it should not be running.',
      },
    },
  };
}

/** As the connector reads them: reasons for which DMS stops at its end, and those after which it starts again by itself. */
const good = [
  'NORMAL',
  'FULL_LOAD_ONLY_FINISHED',
  'STOPPED_AFTER_FULL_LOAD',
  'STOPPED_AFTER_CACHED_EVENTS',
  'STOPPED_AFTER_DDL_APPLY',
  'STOPPED_AT_SERVER_TIME',
  'STOPPED_AT_COMMIT_TIME',
];
const passing = ['RECONFIGURATION_RESTART', 'RECYCLE_TASK'];

const present = (path: string): Test => ({ Variable: path, IsPresent: true });
const is = (path: string, text: string): Test => ({ And: [present(path), { Variable: path, StringEquals: text }] });
const number = (path: string, value: number): Test => ({ And: [present(path), { Variable: path, NumericEquals: value }] });
/** Of a percentage: not 100, or not known. */
const less = (path: string): Test => ({ Not: number(path, 100) });
const ends = (of: string, reason: string): Test => ({
  And: [present(`${of}.StopReason`), { Variable: `${of}.StopReason`, StringMatches: `*${reason}` }],
});

import type { Json } from '@millrace/core/runtime';
import type { Helper, Site } from '../machine/site.ts';
import type { Grant } from '../policy/grant.ts';
import { type DmsKind, dmsKinds } from './dms-kinds.ts';
import { dmsMachine, type Stops } from './dms-machine.ts';
import type { Described } from './remote.ts';

/** What the machine that watches a replication is given: the three ways to start it, of which its state decides for one. Null for what is none. */
export function dmsInput(
  { action, parameters, facts }: Described,
  stage: string,
): {
  readonly kind: DmsKind;
  readonly stops: Stops;
  readonly fields: Readonly<Record<string, Json>>;
  readonly grants: readonly Grant[];
} | null {
  const kind = action === 'StartReplicationTask' ? 'task' : action === 'StartReplication' ? 'serverless' : null;
  const stops = stopsOf(facts['stops']);
  if (kind === null || stops === null) return null;
  const name = kind === 'task' ? 'ReplicationTaskArn' : 'ReplicationConfigArn';
  const type = kind === 'task' ? 'StartReplicationTaskType' : 'StartReplicationType';
  const arn = parameters[name];
  if (typeof arn !== 'string') return null;
  const { CdcStopPosition } = parameters;
  const ends = CdcStopPosition === undefined ? {} : { CdcStopPosition };
  return {
    kind,
    stops,
    fields: {
      arn,
      execution: { $run: 'execution' },
      stage,
      until: facts['until'] ?? 'stopped',
      reload: facts['reload'] ?? false,
      // Where a stream begins may be said with its first start only.
      first: { ...parameters, [type]: 'start-replication' },
      resume: { [name]: arn, [type]: 'resume-processing', ...ends },
      again: { [name]: arn, [type]: 'reload-target', ...ends },
    },
    grants: [
      { actions: [`dms:${action}`, 'dms:AddTagsToResource', 'dms:ListTagsForResource'], resources: [arn] },
      { actions: [kind === 'task' ? 'dms:DescribeReplicationTasks' : 'dms:DescribeReplications'], resources: ['*'] },
    ],
  };
}

function stopsOf(stops: Json | undefined): Stops | null {
  const { good, passing } = (stops ?? {}) as Partial<Record<keyof Stops, Json>>;
  return Array.isArray(good) && Array.isArray(passing) ? { good, passing } : null;
}

/** The machine that stages with a replication of this kind share. */
export function dmsHelper(kind: DmsKind, stops: Stops, site: Site): Helper {
  const { id, suffix } = dmsKinds[kind];
  const helper = site.helpers.get(id) ?? { id, suffix, definition: dmsMachine(kind, stops, site) };
  site.helpers.set(id, helper);
  return helper;
}

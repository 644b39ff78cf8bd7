import { type Context, isMillraceError, type Json, type RemoteHandle, type RemoteState, type RemoteTask } from '@millrace/core/runtime';
import { consoleLink, regionOfArn } from '../aws/console.ts';
import type { DmsFacts } from '../aws/facts.ts';
import { unlessMissing } from '../aws/found.ts';
import { listed } from '../aws/listed.ts';
import { isRecent, startedNow } from '../aws/recent.ts';
import type { DmsService, Replicating } from './client.ts';
import { before, type LifeOptions, type StartType, startOf, stateOf } from './life.ts';
import type { TableCount } from './statistics.ts';
import { stops } from './stop-reason.ts';

/** What is different between a task on an instance and a serverless replication. */
export interface KindOfReplication {
  readonly action: 'StartReplicationTask' | 'StartReplication';
  /** For people: `DMS task`. */
  readonly label: string;
  /** The page of the console that lists them. */
  readonly page: string;
  describe(arn: string, context: Context): Promise<Replicating | null>;
  start(parameters: Readonly<Record<string, Json>>, type: StartType, context: Context): Promise<void>;
  stop(arn: string, context: Context): Promise<void>;
  statistics(arn: string, context: Context): Promise<TableCount[]>;
}

/**
 * A replication as a step. DMS has no client tokens, but a replication is one thing that runs once at a time: before a start the request's id
 * and the state before are written to its tags; whoever finds the id there and another state than that has found the start.
 */
export function watchedReplication(
  dms: DmsService,
  kind: KindOfReplication,
  arn: string,
  { settlesMs, ...life }: LifeOptions & { readonly settlesMs: number },
): RemoteTask {
  const facts: DmsFacts = { native: true, serverless: kind.action === 'StartReplication', ...life, stops };
  const name = `${kind.label} ${arn.split(':').at(-1)}`;
  const region = regionOfArn(arn);
  const link = region === null ? null : consoleLink(region, `dms/v2/home?region=${region}#${kind.page}`);
  /** What runs is the replication, again and again; a run of it is told by the request that started it. */
  const handleOf = (id: string, was: string, context: Context): RemoteHandle => ({
    id: `${arn.split(':').at(-1)}/${id}`,
    link,
    detail: { before: was, ...startedNow(context) },
  });

  return {
    description: {
      service: 'dms',
      action: kind.action,
      label: name,
      region: dms.region,
      starts: 'once',
      watched: true,
      pollMs: 10_000,
      facts: { ...facts },
    },
    async start({ id, parameters }, context) {
      const found = await kind.describe(arn, context);
      let type: StartType;
      try {
        type = startOf(found, life, name);
      } catch (error) {
        // Another attempt may have started it for the same request, since nothing was found of that.
        const other = await startedUnder(id, context);
        if (other) return other;
        throw error;
      }
      const was = found === null ? 'never' : before(found);
      await tag(dms, arn, { [requestTag]: id, [beforeTag]: was }, context);
      try {
        await kind.start(parameters, type, context);
      } catch (error) {
        // Of two that start it at once one is refused. The other's start came after this one's look, so it loads all that this one was to load.
        if (!isNotNow(error) || !(await hasBegun(was, context))) throw error;
      }
      return handleOf(id, was, context);
    },
    adopt: ({ id }, context) => startedUnder(id, context),
    async poll(handle, context) {
      const found = await kind.describe(arn, context);
      const unchanged = (found === null ? 'never' : before(found)) === handle.detail['before'];
      if (unchanged && isRecent(handle, context)) return { at: 'running', status: 'starting', progress: null };
      if (found === null) return { at: 'failed', reason: `DMS does not know ${name} any more.`, again: false };
      if (unchanged && found.status !== 'failed')
        return { at: 'failed', reason: `DMS took the start, and ${name} is ${found.status} as before.`, again: true };
      return counted(stateOf(found, life), context);
    },
    async cancel({ id }, context) {
      // What somebody has started since is not ours to stop.
      const { [requestTag]: started } = await tagsOf(dms, arn, context);
      if (id.endsWith(`/${started}`)) await kind.stop(arn, context);
    },
  };

  async function startedUnder(id: string, context: Context): Promise<RemoteHandle | null> {
    const { [requestTag]: started, [beforeTag]: was = 'never' } = await tagsOf(dms, arn, context);
    return started === id && (await hasBegun(was, context)) ? handleOf(id, was, context) : null;
  }

  async function hasBegun(was: string, context: Context): Promise<boolean> {
    const look = async (): Promise<Replicating | null> => {
      const found = await kind.describe(arn, context);
      return found !== null && before(found) !== was && !unstarted.has(found.status) ? found : null;
    };
    return (await listed(look, settlesMs, context.signal)) !== null;
  }

  /** An end with what the tables say of it. It is an end also where nobody may read them. */
  async function counted(state: RemoteState, context: Context): Promise<RemoteState> {
    if (state.at === 'running') return state;
    try {
      const tables = await kind.statistics(arn, context);
      const broken = tables
        .filter(({ state: of }) => /error|cancelled|suspended/i.test(of))
        .map(({ table, state: of }) => `${table} (${of})`);
      const rows = tables.reduce((sum, { fullLoadRows }) => sum + fullLoadRows, 0);
      if (state.at === 'succeeded') return { ...state, output: { ...state.output, rows } };
      return broken.length === 0 ? state : { ...state, reason: `${state.reason} ${broken.slice(0, 10).join(', ')}` };
    } catch (error) {
      if (!isMillraceError(error) || error.entry.retry !== 'never') throw error;
      context.log.warn(`${name}: its table statistics could not be read`, { error: error.message });
      return state;
    }
  }
}

/** What runs already is refused so, and what cannot be started for another reason: an endpoint whose connection was not tested. */
const isNotNow = (error: unknown): boolean => isMillraceError(error) && error.facts['service'] === 'InvalidResourceStateFault';

/** In which it changes, and has not begun. */
const unstarted = new Set(['creating', 'deleting', 'failed_move', 'modifying', 'moving', 'testing']);

export const requestTag = 'millrace-request';
export const beforeTag = 'millrace-before';

async function tag(dms: DmsService, ResourceArn: string, tags: Readonly<Record<string, string>>, context: Context): Promise<void> {
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value: Value.replace(/[^\w .:/=+\-@]/g, '_').slice(0, 256) }));
  await dms.call(`tagging ${ResourceArn}`, context, (sdk, client, options) =>
    client.send(new sdk.AddTagsToResourceCommand({ ResourceArn, Tags }), options),
  );
}

async function tagsOf(dms: DmsService, ResourceArn: string, context: Context): Promise<Readonly<Record<string, string>>> {
  const answer = await dms.call(`reading the tags of ${ResourceArn}`, context, (sdk, client, options) =>
    unlessMissing(client.send(new sdk.ListTagsForResourceCommand({ ResourceArn }), options), 'ResourceNotFoundFault'),
  );
  return Object.fromEntries((answer?.TagList ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
}

import { filesMatching, matchesUrl } from '@millrace/connectors/s3';
import type { Context, ScheduleStore, SecretRef } from '@millrace/core/runtime';
import {
  type Deployed,
  type FileStore,
  fileEvents,
  filesSource,
  notifySource,
  removeTriggers,
  type StateAddress,
  sqsQueue,
  successSource,
  type TriggerSource,
  urlOf,
  watchOf,
} from '@millrace/worker';
import type { Session } from '../session.ts';

/** What starts the runs of pipelines that do not go by the clock. */
export async function triggerSources(
  session: Session,
  pipelines: ReadonlyMap<string, Deployed>,
  store: ScheduleStore,
  { s3Events, onError }: { readonly s3Events: string | undefined; readonly onError: (error: unknown, what: string) => void },
): Promise<TriggerSource[]> {
  const sources: TriggerSource[] = [];
  const channels = new Map<string, { readonly channel: string; readonly database: StateAddress; readonly pipelines: string[] }>();
  for (const [pipeline, { plan }] of pipelines) {
    const { schedule } = plan;
    if (schedule.kind === 'files') sources.push(filesSource({ store, files: fileStore(await session.context()), pipeline, schedule }));
    if (schedule.kind === 'success') sources.push(successSource(store, pipeline, schedule.of));
    if (schedule.kind === 'notify') {
      const database = await databaseOf(session, schedule.database);
      const watch = watchOf(pipeline, schedule);
      if (watch) {
        const what = `the triggers for ${pipeline}`;
        sources.push(
          notifySource({ store, pipelines: [pipeline], channel: watch.channel, database, watch, onError: (error) => onError(error, what) }),
        );
        continue;
      }
      const key = `${schedule.channel} ${urlOf(database)}`;
      const others = channels.get(key);
      if (others) others.pipelines.push(pipeline);
      else channels.set(key, { channel: schedule.channel, database, pipelines: [pipeline] });
    }
  }
  for (const one of channels.values())
    sources.push(notifySource({ store, ...one, onError: (error) => onError(error, `the table _millrace.trigger for ${one.channel}`) }));
  sources.push(...(await retired(session, pipelines, store)));
  if (s3Events !== undefined) sources.push(await eventsOf(session, s3Events, pipelines, store, onError));
  return sources;
}

/** For each pipeline that watched tables of a database until now, and does not any longer: its triggers go. Asked before it is deployed. */
async function retired(session: Session, pipelines: ReadonlyMap<string, Deployed>, store: ScheduleStore): Promise<TriggerSource[]> {
  const sources: TriggerSource[] = [];
  for (const { pipeline, schedule: before } of await store.schedules()) {
    const now = pipelines.get(pipeline)?.plan.schedule;
    if (now === undefined || before.kind !== 'notify' || !before.changes) continue;
    const [was, is] = [before.database?.name, now.kind === 'notify' && now.changes ? now.database?.name : undefined];
    if (was === is) continue; // what has changed within a database, its own source sees to
    let done = false;
    sources.push({
      name: `triggers that ${pipeline} no longer needs`,
      everyMs: 60_000,
      async look() {
        if (!done) await removeTriggers(await databaseOf(session, before.database), pipeline);
        done = true;
        return null;
      },
    });
  }
  return sources;
}

async function eventsOf(
  session: Session,
  url: string,
  pipelines: ReadonlyMap<string, Deployed>,
  store: ScheduleStore,
  onError: (error: unknown, what: string) => void,
): Promise<TriggerSource> {
  await session.secrets(); // .env may hold the region and the keys
  const queue = await sqsQueue(url);
  const patterns = [...pipelines].flatMap(
    ([
      pipeline,
      {
        plan: { schedule },
      },
    ]) => (schedule.kind === 'files' ? [{ pipeline, pattern: schedule.pattern }] : []),
  );
  const source = fileEvents({
    store,
    queue,
    files: { matches: matchesUrl },
    patterns,
    onError: (error) => onError(error, 'a message of the queue'),
  });
  return { ...source, close: () => queue.close() };
}

async function databaseOf(session: Session, named: SecretRef | undefined): Promise<StateAddress> {
  return named ? session.database(named) : session.stateDatabase();
}

const fileStore = (context: Context): FileStore => ({
  list: (pattern, signal) => filesMatching(pattern, {}, { ...context, signal }),
  matches: matchesUrl,
});

import { type Command, decide, type RunRecord, type RunStore, type ScheduleStore } from '@millrace/core/runtime';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { type Deployed, executorLaunch, type Launch } from '../src/scheduler/launch.ts';
import { postgresStore } from '../src/store/postgres-store.ts';
import { postgresScheduleStore } from '../src/store/schedule-store.ts';
import { executorOn } from './stored-runs.ts';

export { scheduled } from './stored-runs.ts';

/** A state database with pipelines that do nothing, and hands on their runs. */
export interface ScheduleWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly runs: RunStore;
  readonly store: ScheduleStore;
  /** Another one on the same database, as another process has it. */
  open(): Promise<ScheduleStore>;
  launch(pipelines: ReadonlyMap<string, Deployed>): Launch;
  /** As if no scheduler had looked since then; an SQL interval. */
  asleep(pipeline: string, interval: string): Promise<void>;
  /** Oldest first. */
  runsOf(pipeline: string): Promise<RunRecord[]>;
  end(run: string, how: 'succeeded' | 'failed' | 'cancelled'): Promise<void>;
}

export async function scheduleWorld(): Promise<ScheduleWorld> {
  const database = await testDatabase();
  const runs = await postgresStore(database.url);
  const stores: ScheduleStore[] = [];
  const open = async () => {
    const store = await postgresScheduleStore(database.url);
    stores.push(store);
    return store;
  };
  const obey = async (run: string, command: Command): Promise<void> => {
    await runs.transition(run, (record, now) => decide(record, command, now));
  };
  return {
    database,
    runs,
    store: await open(),
    open,
    launch: (pipelines) => executorLaunch(executorOn(runs), pipelines),
    async asleep(pipeline, interval) {
      await database.sql(
        `update millrace.schedule set evaluated_at = clock_timestamp() - $2::interval, next_at = clock_timestamp() - interval '1 ms' where pipeline = $1`,
        [pipeline, interval],
      );
    },
    async runsOf(pipeline) {
      const found = await runs.list({ pipeline, limit: 10_000 });
      const records = await Promise.all(found.map(({ id }) => runs.read(id)));
      return records.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
    },
    async end(run, how) {
      const stage = [...(await runs.read(run)).stages.keys()][0] as string;
      if (how === 'cancelled') await obey(run, { type: 'cancel' });
      await obey(run, { type: 'admit', rivals: [], limit: 1 });
      await obey(run, { type: 'claim', stage, worker: 'w' });
      const epoch = (await runs.read(run)).stages.get(stage)?.epoch ?? 1;
      const output = { kind: 'execute', alreadyDone: false, rowsAffected: [], notices: [], checks: [] } as const;
      const error = { code: 'CHECK_FAILED', message: 'no', remedy: 'mend', facts: {} } as const;
      if (how === 'failed') await obey(run, { type: 'fail', stage, epoch, error, random: 0 });
      else await obey(run, { type: 'succeed', stage, epoch, output });
    },
    async [Symbol.asyncDispose]() {
      for (const store of stores) await store[Symbol.asyncDispose]();
      await runs[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

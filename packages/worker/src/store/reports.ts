import {
  type AttemptDetail,
  elsewhereProgress,
  type LeaseState,
  type LogLine,
  type LogPage,
  type RunFilter,
  type RunSummary,
  type StageOutput,
  type StageProgress,
  type StageState,
  type StoredEvent,
} from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import { json, storable } from './json.ts';
import { unheld, workerGone } from './liveness.ts';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** What can be told of runs: the reads of `RunStore` that decide nothing. */

export async function list(db: Db, { pipeline, states, limit = 50, before }: RunFilter): Promise<RunSummary[]> {
  let runs = db
    .selectFrom('run')
    .select(['id', 'pipeline', 'fingerprint', 'request', 'state', 'created_at', 'cancel_requested_at'])
    .select(sql<boolean>`at in ('queued', 'running') and ${unheld(sql`run.queue`)}`.as('abandoned'))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit);
  if (pipeline !== undefined) runs = runs.where('pipeline', '=', pipeline);
  if (states) runs = runs.where('at', 'in', states);
  if (before !== undefined)
    runs = runs.where(sql<boolean>`(created_at, id) < (select created_at, id from millrace.run where id = ${before})`);
  const found = await runs.execute();
  const counts = await stageCounts(
    db,
    found.map(({ id }) => id),
  );
  return found.map((run) => {
    const counted = counts.get(run.id);
    return {
      id: run.id,
      pipeline: run.pipeline,
      fingerprint: run.fingerprint,
      state: run.state,
      createdAt: run.created_at.toISOString(),
      logicalTime: run.request.logicalTime,
      window: run.request.window,
      cancelRequestedAt: run.cancel_requested_at?.toISOString() ?? null,
      stages: { ...noStages, ...counted?.stages },
      rows: counted?.rows ?? 0,
      abandoned: run.abandoned,
    };
  });
}

const noStages: Readonly<Record<StageState['at'], number>> = {
  waiting: 0,
  ready: 0,
  running: 0,
  elsewhere: 0,
  retrying: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
  skipped: 0,
};

async function stageCounts(
  db: Db,
  runs: readonly string[],
): Promise<Map<string, { stages: Partial<Record<StageState['at'], number>>; rows: number }>> {
  const counts = new Map<string, { stages: Partial<Record<StageState['at'], number>>; rows: number }>();
  if (runs.length === 0) return counts;
  const rows = await db
    .selectFrom('stage')
    .select(['run', 'at', sql<string>`count(*)`.as('count'), sql<string | null>`sum(rows)`.as('rows')])
    .where('run', 'in', runs)
    .groupBy(['run', 'at'])
    .execute();
  for (const { run, at, count, rows: loaded } of rows) {
    const entry = counts.get(run) ?? { stages: {}, rows: 0 };
    entry.stages[at] = Number(count);
    entry.rows += Number(loaded ?? 0);
    counts.set(run, entry);
  }
  return counts;
}

export async function abandoned(db: Db, run: string): Promise<boolean> {
  const row = await db
    .selectFrom('run')
    .select(sql<boolean>`at in ('queued', 'running') and ${unheld(sql`run.queue`)}`.as('abandoned'))
    .where('id', '=', run)
    .executeTakeFirst();
  return row?.abandoned ?? false;
}

export async function attempts(db: Db, run: string): Promise<(AttemptDetail & { stage: string })[]> {
  const rows = await db.selectFrom('attempt').selectAll().where('run', '=', run).orderBy('started_at').execute();
  return rows.map(({ stage, attempt, epoch, worker, started_at, ended_at, result, error }) => ({
    stage,
    attempt,
    epoch,
    worker,
    started: started_at.toISOString(),
    ended: ended_at?.toISOString() ?? null,
    result,
    error,
  }));
}

export async function progress(db: Db, run: string): Promise<StageProgress[]> {
  const rows = await db.selectFrom('stage').select('progress').where('run', '=', run).where('at', '=', 'running').execute();
  const elsewhere = await sql<Parameters<typeof elsewhereProgress>[0]>`
    select s.run, s.id as stage, s.epoch, m.handle, m.status, m.progress,
      coalesce(extract(epoch from clock_timestamp() - m.started_at)::float8 * 1000, 0) as "elapsedMs"
    from millrace.stage s left join millrace.remote m on m.run = s.run and m.stage = s.id and m.work = s.settled
    where s.run = ${run} and s.at = 'elsewhere'`.execute(db);
  return [...rows.flatMap((row) => row.progress ?? []), ...elsewhere.rows.map(elsewhereProgress)];
}

export async function leases(db: Db, run: string): Promise<LeaseState[]> {
  const { rows } = await sql<{ stage: string; epoch: number; worker: string; until: Date; gone: boolean }>`
    select id as stage, epoch, worker, lease_until as until, ${workerGone(sql`worker`)} as gone
    from millrace.stage where run = ${run} and at = 'running'`.execute(db);
  return rows.map(({ until, gone, ...lease }) => ({ run, ...lease, until: until.toISOString(), workerGone: gone }));
}

export async function lastOutput(db: Db, pipeline: string, stage: string): Promise<StageOutput | null> {
  const row = await db
    .selectFrom('stage')
    .innerJoin('run', 'run.id', 'stage.run')
    .select('stage.state')
    .where('run.pipeline', '=', pipeline)
    .where('stage.id', '=', stage)
    .where('stage.at', '=', 'succeeded')
    .orderBy('run.created_at', 'desc')
    .orderBy('run.id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.state.at === 'succeeded' ? row.state.output : null;
}

export async function events(db: Db, run: string, after: number, limit: number): Promise<StoredEvent[]> {
  const rows = await db
    .selectFrom('run_event')
    .select(['seq', 'at', 'body'])
    .where('run', '=', run)
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(limit)
    .execute();
  return rows.map(({ seq, at, body }) => ({ run, seq, at: at.toISOString(), event: body as StoredEvent['event'] }));
}

export async function appendLogs(db: Db, lines: readonly LogLine[]): Promise<void> {
  if (lines.length === 0) return;
  const rows = lines.map((line) => ({ ...line, message: storable(line.message) }));
  await sql`insert into millrace.log (run, stage, epoch, at, level, message, facts)
    select run, stage, epoch, at, level, message, facts
    from json_to_recordset(${json(rows)}::json) as l(run text, stage text, epoch int, at timestamptz, level text, message text, facts json)`.execute(
    db,
  );
}

export async function logs(
  db: Db,
  run: string,
  { stage, after = 0, limit }: { stage?: string; after?: number; limit: number },
): Promise<LogPage> {
  let query = db.selectFrom('log').selectAll().where('run', '=', run).where('id', '>', String(after)).orderBy('id').limit(limit);
  if (stage !== undefined) query = query.where('stage', '=', stage);
  const rows = await query.execute();
  const lines = rows.map(({ id: _, at, level, ...line }) => ({ ...line, at: at.toISOString(), level: level as LogLine['level'] }));
  return { lines, cursor: Number(rows.at(-1)?.id ?? after) };
}

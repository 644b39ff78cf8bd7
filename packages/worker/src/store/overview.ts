import { type Kysely, sql } from 'kysely';
import { fleetGauges, type QueueGauges } from './gauges.ts';
import { workerGone } from './liveness.ts';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** Who works, on what, and what waits: for people who look at a fleet. Times are ISO 8601, by the clock of the state database. */
export interface FleetOverview {
  readonly at: string;
  readonly queues: readonly QueueGauges[];
  readonly workers: readonly WorkerOverview[];
  readonly running: readonly RunningStage[];
  /** Work that services do: it holds no worker. */
  readonly elsewhere: readonly ElsewhereStage[];
}

export interface WorkerOverview {
  readonly id: string;
  /** `process 4711 on build-3` */
  readonly label: string;
  /** `fleet:default`; `local` where it is a process that works for itself. */
  readonly queue: string;
  readonly since: string;
  readonly seenAt: string;
  /** It has not said goodbye: its process has died, or is cut off. */
  readonly gone: boolean;
  /** Stages that it runs. */
  readonly running: number;
  /** What it can run, by name and version; null where it runs what it is given. A version of which there was no run has no name yet. */
  readonly pipelines: readonly { readonly pipeline: string | null; readonly fingerprint: string }[] | null;
}

export interface RunningStage {
  readonly run: string;
  readonly pipeline: string;
  readonly stage: string;
  readonly queue: string;
  readonly worker: string;
  readonly attempt: number;
  readonly since: string;
  /** Until when its worker need not be heard of. */
  readonly leaseUntil: string;
  readonly workerGone: boolean;
}

export interface ElsewhereStage {
  readonly run: string;
  readonly pipeline: string;
  readonly stage: string;
  readonly queue: string;
  /** `Glue job nightly` */
  readonly label: string | null;
  readonly since: string;
  readonly status: string | null;
  readonly progress: number | null;
  /** Its name at the service, and where people look at it. */
  readonly handle: string | null;
  readonly link: string | null;
  readonly lookedAt: string | null;
}

export async function fleetOverview(db: Db): Promise<FleetOverview> {
  const [{ queues }, workers, running, elsewhere, at] = await Promise.all([
    fleetGauges(db),
    workersOf(db),
    runningStages(db),
    stagesElsewhere(db),
    clock(db),
  ]);
  return { at, queues, workers, running, elsewhere };
}

const queueName = (queue: ReturnType<typeof sql>) =>
  sql<string>`case when ${queue} like 'local:%' or ${queue} is null then 'local' else ${queue} end`;

/** Those that live, and those of the last day that have not said goodbye. */
async function workersOf(db: Db): Promise<WorkerOverview[]> {
  const { rows } = await sql<Omit<WorkerOverview, 'since' | 'seenAt'> & { since: Date; seenAt: Date }>`
    select w.id, w.label, ${queueName(sql`w.queue`)} as queue, w.started_at as since, w.seen_at as "seenAt", w.gone,
      (select count(*)::int from millrace.stage s where s.at = 'running' and s.worker = w.id) as running,
      case when w.plans is not null then (
        select coalesce(json_agg(json_build_object('pipeline', p.pipeline, 'fingerprint', f.fingerprint) order by p.pipeline, f.fingerprint), '[]')
        from unnest(w.plans) f(fingerprint) left join millrace.plan p using (fingerprint)) end as pipelines
    from (select *, ${workerGone(sql`worker.id`)} as gone from millrace.worker) w
    where not w.gone or w.seen_at > clock_timestamp() - interval '1 day'
    order by w.gone, 3, w.started_at`.execute(db);
  return rows.map(({ since, seenAt, ...worker }) => ({ ...worker, since: since.toISOString(), seenAt: seenAt.toISOString() }));
}

/** The ones that run longest first. */
async function runningStages(db: Db): Promise<RunningStage[]> {
  const { rows } = await sql<Omit<RunningStage, 'leaseUntil'> & { leaseUntil: Date }>`
    select s.run, r.pipeline, s.id as stage, ${queueName(sql`r.queue`)} as queue, s.worker, (s.state ->> 'attempt')::int as attempt,
      s.state ->> 'since' as since, s.lease_until as "leaseUntil", ${workerGone(sql`s.worker`)} as "workerGone"
    from millrace.stage s join millrace.run r on r.id = s.run
    where s.at = 'running' order by s.state ->> 'since', s.run, s.ordinal`.execute(db);
  return rows.map(({ leaseUntil, ...stage }) => ({ ...stage, leaseUntil: leaseUntil.toISOString() }));
}

async function stagesElsewhere(db: Db): Promise<ElsewhereStage[]> {
  const { rows } = await sql<Omit<ElsewhereStage, 'lookedAt'> & { lookedAt: Date | null }>`
    select s.run, r.pipeline, s.id as stage, ${queueName(sql`r.queue`)} as queue, s.state ->> 'since' as since,
      (select step -> 'description' ->> 'label' from millrace.plan p, json_array_elements(p.body -> 'steps') step
       where p.fingerprint = r.fingerprint and step ->> 'name' = s.id) as label,
      m.status, m.progress, m.handle ->> 'id' as handle, m.handle ->> 'link' as link, m.looked_at as "lookedAt"
    from millrace.stage s join millrace.run r on r.id = s.run
    left join millrace.remote m on m.run = s.run and m.stage = s.id and m.work = s.settled
    where s.at = 'elsewhere' order by s.state ->> 'since', s.run, s.ordinal`.execute(db);
  return rows.map(({ lookedAt, ...stage }) => ({ ...stage, lookedAt: lookedAt?.toISOString() ?? null }));
}

async function clock(db: Db): Promise<string> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  return (rows[0] as { now: Date }).now.toISOString();
}

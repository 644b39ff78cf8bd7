import { type Kysely, sql } from 'kysely';
import { workerGone } from './liveness.ts';
import type { StateDatabase } from './schema.ts';
import { openSplits } from './splits.ts';

/** What one place stages side by side, as a rule. */
const splitsAtOnce = 4;

/** Seconds after which nobody who lives has still not looked. */
const lateLook = 15;

/** How a fleet is, read from its rows: whoever asks, in whatever process, sees the same. */
export interface FleetGauges {
  /** Of each queue with work or workers; those of single processes (`local:…`) together as `local`. */
  readonly queues: readonly QueueGauges[];
  /** Runs that have not ended, and those of the last day that have. */
  readonly runs: Readonly<Record<string, number>>;
  readonly streams: readonly StreamGauges[];
  readonly alertsOpen: number;
}

export interface QueueGauges {
  readonly queue: string;
  readonly ready: number;
  readonly running: number;
  readonly retrying: number;
  /** Stages whose work a service does: they hold no place. */
  readonly elsewhere: number;
  /**
   * Retries whose time has come, and looks at work elsewhere that nobody takes: they count as ready for whoever needs to know how much there
   * is to do.
   */
  readonly due: number;
  /** Workers' places that splits of running stages could fill which nobody stages. */
  readonly helpers: number;
  /** Seconds since the stage that is ready longest became so; 0 where none is. */
  readonly oldestReady: number;
  readonly workers: number;
  /** Stages that could run now, and places for help with those that run, for each worker that lives; without workers, for one: an autoscaler starts from nothing with it. */
  readonly backlogPerWorker: number;
}

export interface StreamGauges {
  readonly pipeline: string;
  readonly step: string;
  /** Seconds from commit at the source to durable at the slowest sink; null where it is not known. */
  readonly lag: number | null;
  /** Seconds since the stream was heard of: where nobody follows it, the lag grows with it. */
  readonly seen: number;
}

/**
 * Costs what is open, not what is stored: ended stages and old runs are not looked at (`now()`, which does not change within a statement,
 * lets an index find the new ones). One statement, so one instant.
 */
export async function fleetGauges(db: Kysely<StateDatabase>): Promise<FleetGauges> {
  const { rows } = await sql<Row>`
    with open as (
        select case when r.queue like 'local:%' then 'local' else coalesce(r.queue, 'none') end as queue, s.at, s.ready_at, s.retry_at,
          case when s.at = 'running' then ${openSplits(sql`s.run`, sql`s.id`, sql`s.epoch`)} else 0 end as helpers
        from millrace.stage s join millrace.run r on r.id = s.run
        where s.at in ('ready', 'running', 'retrying') and r.at in ('queued', 'running')
        union all
        select case when r.queue like 'local:%' then 'local' else coalesce(r.queue, 'none') end, s.at, null,
          coalesce(m.next_at + ${sql.lit(lateLook)} * interval '1 s', '-infinity'), 0
        from millrace.stage s join millrace.run r on r.id = s.run left join millrace.remote m on m.run = s.run and m.stage = s.id and m.work = s.settled
        where s.at = 'elsewhere'),
      alive as (
        select case when k.queue like 'local:%' or k.queue is null then 'local' else k.queue end as queue, count(*)::int as workers
        from millrace.worker k where not ${workerGone(sql`k.id`)} group by 1),
      busy as (
        select queue, count(*) filter (where at = 'ready')::int as ready, count(*) filter (where at = 'running')::int as running,
          count(*) filter (where at = 'retrying')::int as retrying,
          count(*) filter (where at = 'elsewhere')::int as elsewhere,
          count(*) filter (where at in ('retrying', 'elsewhere') and retry_at <= clock_timestamp())::int as due,
          ceil(sum(helpers)::float8 / ${splitsAtOnce})::int as helpers,
          greatest(0, extract(epoch from clock_timestamp() - min(ready_at) filter (where at = 'ready')))::float8 as oldest
        from open group by 1),
      runs as (
        select at, count(*)::int as count from (
          select at from millrace.run where at in ('queued', 'running')
          union all
          select at from millrace.run where at not in ('queued', 'running')
            and id >= to_char((now() - interval '1 day') at time zone 'UTC', 'YYYYMMDD"T"HH24MISS')) r group by 1)
    select
      (select coalesce(json_agg(json_build_object('queue', queue, 'ready', coalesce(ready, 0), 'running', coalesce(running, 0),
        'retrying', coalesce(retrying, 0), 'elsewhere', coalesce(elsewhere, 0), 'due', coalesce(due, 0), 'helpers', coalesce(helpers, 0), 'oldestReady', coalesce(oldest, 0), 'workers', coalesce(workers, 0))
        order by queue), '[]') from busy full join alive using (queue)) as queues,
      (select coalesce(json_object_agg(at, count), '{}') from runs) as runs,
      (select coalesce(json_agg(json_build_object('pipeline', pipeline, 'step', step, 'lag', (progress -> 'stream' ->> 'lagMs')::float8 / 1000,
        'seen', greatest(0, extract(epoch from clock_timestamp() - at)))), '[]') from millrace.stream) as streams,
      (select count(*)::int from millrace.alert where at = 'open') as "alertsOpen"`.execute(db);
  const { queues, ...rest } = rows[0] as Row;
  return {
    ...rest,
    queues: queues.map((queue) => ({ ...queue, backlogPerWorker: (queue.ready + queue.due + queue.helpers) / Math.max(1, queue.workers) })),
  };
}

interface Row extends Omit<FleetGauges, 'queues'> {
  readonly queues: readonly Omit<QueueGauges, 'backlogPerWorker'>[];
}

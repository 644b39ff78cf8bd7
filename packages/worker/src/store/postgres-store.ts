import {
  limitKey,
  type NewRun,
  newRun,
  type Plan,
  type Rival,
  type RunId,
  type RunRecord,
  type RunStore,
  runNotFound,
  stagesById,
  type WorkerInfo,
} from '@millrace/core/runtime';
import { sql, type Transaction } from 'kysely';
import type { StateAddress } from './address.ts';
import { connect } from './connect.ts';
import { json } from './json.ts';
import * as leases from './leases.ts';
import * as limits from './limits.ts';
import { unheld } from './liveness.ts';
import { migrate } from './migrate.ts';
import { recordOf, runColumns, stageColumns } from './record.ts';
import { remoteStore } from './remote.ts';
import * as reports from './reports.ts';
import { clock } from './schedules.ts';
import type { StateDatabase } from './schema.ts';
import { StateSession } from './session.ts';
import { splitStore } from './splits.ts';
import * as streams from './streams.ts';
import { transit } from './transition.ts';
import { Transitions } from './transitions.ts';
import * as work from './work.ts';

type Trx = Transaction<StateDatabase>;

/** The state store in a Postgres database, in its schema `millrace`, which is made or brought up to date. @throws STATE_UNAVAILABLE, STATE_VERSION */
export async function postgresStore(address: StateAddress): Promise<RunStore> {
  const connection = connect(address);
  const { guard } = connection;
  try {
    await guard(migrate);
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
  const listeners = new Set<(run: RunId) => void>();
  const hear = (run: RunId): void => {
    for (const listener of listeners) listener(run);
  };
  const session = new StateSession(address, hear);
  const plans = new Map<string, Plan>();
  const transitions = new Transitions(connection, planOf);

  /** Plans never change, so each is read once. */
  async function planOf(db: Trx, fingerprint: string): Promise<Plan> {
    const known = plans.get(fingerprint);
    if (known) return known;
    const { body } = await db.selectFrom('plan').select('body').where('fingerprint', '=', fingerprint).executeTakeFirstOrThrow();
    plans.set(fingerprint, body);
    return body;
  }

  async function read(db: Trx, id: RunId): Promise<RunRecord> {
    const row = await db
      .selectFrom('run')
      .select([...runColumns, 'fingerprint'])
      .where('id', '=', id)
      .executeTakeFirst();
    if (!row) throw runNotFound(id);
    const stages = await db.selectFrom('stage').select(stageColumns).where('run', '=', id).orderBy('ordinal').execute();
    return recordOf(row, await planOf(db, row.fingerprint), stages);
  }

  return {
    splits: splitStore(guard, read),
    remote: remoteStore(guard),
    now: () => guard(clock),
    async create(run) {
      const made = await guard((db) => db.transaction().execute((trx) => create(trx, run, planOf, read)));
      if (made.created) transitions.tell(run.id);
      return made;
    },
    // One snapshot, so that run and stages belong together.
    read: (id) =>
      guard((db) =>
        db
          .transaction()
          .setIsolationLevel('repeatable read')
          .execute((trx) => read(trx, id)),
      ),
    transition: (id, decide) => transitions.make(id, decide),
    claim({ run: id, stage }, decide) {
      const known = transitions.known(id);
      const unlimited = known && !stagesById(known.plan).get(stage)?.limits?.length;
      if (unlimited) return transitions.make(id, (run, now) => decide(run, now, new Map()));
      return transitions.within(id, (trx, known) =>
        transit(trx, id, planOf, async (run, now) => decide(run, now, await limits.grantedBeside(trx, run, stage)), known),
      );
    },
    granted: () => guard((db) => limits.granted(db)),
    admission: (id, decide) =>
      transitions.within(id, async (trx, known) => {
        const rivals = await rivalsOf(trx, id);
        return transit(trx, id, planOf, (run, now) => decide(run, now, rivals), known);
      }),

    adopt: (id, queue) =>
      guard(async (db) => {
        const { numUpdatedRows } = await db
          .updateTable('run')
          .set({ queue })
          .where('id', '=', id)
          .where((eb) => eb.or([eb('queue', '=', queue), eb('at', 'not in', ['queued', 'running']), unheld(sql`run.queue`)]))
          .executeTakeFirst();
        if (numUpdatedRows > 0n) {
          // For the queue it was in; whoever adopts looks for himself.
          await db.deleteFrom('outbox').where('run', '=', id).where('queue', '!=', queue).execute();
          return true;
        }
        await db
          .selectFrom('run')
          .select('id')
          .where('id', '=', id)
          .executeTakeFirstOrThrow(() => runNotFound(id));
        return false;
      }),
    queueOf: (id) =>
      guard(async (db) => {
        const row = await db
          .selectFrom('run')
          .select('queue')
          .where('id', '=', id)
          .executeTakeFirstOrThrow(() => runNotFound(id));
        return row.queue;
      }),
    abandon: (queue) =>
      guard(
        async (db) =>
          void (await db
            .updateTable('run')
            .set({ queue: null })
            .where('queue', '=', queue)
            .where('at', 'in', ['queued', 'running'])
            .execute()),
      ),

    queued: (queue) => guard((db) => work.queued(db, queue)),
    ready: (queue, limit, plans) => guard((db) => work.ready(db, queue, limit, plans)),
    due: (queue) => guard((db) => work.due(db, queue)),
    expired: () => guard((db) => work.expired(db)),
    drainOutbox: (queue, limit) => guard((db) => work.drainOutbox(db, queue, limit)),

    async register(worker) {
      const key = await guard((db) => register(db as Trx, worker));
      await guard(() => session.lock(key));
      return {
        async [Symbol.asyncDispose]() {
          await session.unlock(key);
          await guard((db) => db.deleteFrom('worker').where('id', '=', worker.id).execute()).catch(() => {}); // it counts as gone without its lock
        },
      };
    },
    workers: (queue) => guard((db) => leases.workers(db, queue)),
    renew: (worker, held) => guard((db) => leases.renew(db, worker, held)),
    earlier: (run, stage) => guard((db) => leases.earlier(db, run, stage)),
    storePlan: (lease, plan) => guard((db) => leases.storePlan(db, lease, plan)),
    storePart: (lease, part) => guard((db) => leases.storePart(db, lease, part)),
    forgetParts: (lease) => guard((db) => leases.forgetParts(db, lease)),

    appendLogs: (lines) => guard((db) => reports.appendLogs(db, lines)),
    logs: (run, options) => guard((db) => reports.logs(db, run, options)),
    events: (run, after, limit) => guard((db) => reports.events(db, run, after, limit)),
    list: (filter) => guard((db) => reports.list(db, filter)),
    abandoned: (run) => guard((db) => reports.abandoned(db, run)),
    attempts: (run) => guard((db) => reports.attempts(db, run)),
    progress: (run) => guard((db) => reports.progress(db, run)),
    streams: (pipeline) => guard((db) => streams.streams(db, pipeline)),
    requestStream: (stream, request) => guard((db) => streams.requestStream(db, stream, request)),
    openRequests: (stream) => guard((db) => streams.openRequests(db, stream)),
    answerRequest: (id, error) => guard((db) => streams.answerRequest(db, id, error)),
    streamRequest: (id) => guard((db) => streams.streamRequest(db, id)),
    leases: (run) => guard((db) => reports.leases(db, run)),
    lastOutput: (pipeline, stage) => guard((db) => reports.lastOutput(db, pipeline, stage)),
    subscribe(listener) {
      listeners.add(listener);
      session.open().catch(() => {}); // whoever waits for a hint also looks from time to time
      return () => void listeners.delete(listener);
    },
    async [Symbol.asyncDispose]() {
      listeners.clear();
      await transitions[Symbol.asyncDispose]();
      await session[Symbol.asyncDispose]();
      await connection[Symbol.asyncDispose]();
    },
  };
}

async function create(
  trx: Trx,
  { id, request, plan, queue }: NewRun,
  planOf: (db: Trx, fingerprint: string) => Promise<Plan>,
  read: (db: Trx, id: RunId) => Promise<RunRecord>,
) {
  await trx
    .insertInto('plan')
    .values({ fingerprint: plan.fingerprint, pipeline: plan.pipeline, body: json(plan) })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(trx);
  const record = newRun(id, request, plan, (rows[0] as { now: Date }).now.toISOString());
  const inserted = await trx
    .insertInto('run')
    .values({
      id,
      pipeline: request.pipeline,
      fingerprint: plan.fingerprint,
      request: json(request),
      queue,
      at: record.state.at,
      state: json(record.state),
      created_at: record.createdAt,
      idempotency_key: request.idempotencyKey,
      priority: request.priority ?? plan.priority ?? 'normal',
      seq: 0,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  if (!inserted) {
    const { pipeline, idempotencyKey } = request;
    const same = await trx
      .selectFrom('run')
      .select('id')
      .where((eb) => eb.or([eb('id', '=', id), eb.and({ pipeline, idempotency_key: idempotencyKey })]))
      .orderBy(sql`id = ${id}`, 'desc')
      .executeTakeFirstOrThrow();
    return { run: await read(trx, same.id), created: false };
  }
  const limitsOf = (stage: string): string[] | null => stagesById(plan).get(stage)?.limits?.map(limitKey) ?? null;
  const stages = [...record.stages.values()].map(({ id: stage, state }, ordinal) => ({
    run: id,
    id: stage,
    ordinal,
    at: state.at,
    state,
    limits: limitsOf(stage),
  }));
  await sql`insert into millrace.stage (run, id, ordinal, at, state, limits)
    select run, id, ordinal, at, state, limits
    from json_to_recordset(${json(stages)}::json) as s(run text, id text, ordinal int, at text, state json, limits text[])`.execute(trx);
  const { run } = await transit(trx, id, planOf, () => [{ type: 'run.queued', because: null }]);
  return { run, created: true };
}

/** The other runs of the pipeline that are running. Until the transaction ends no other admission of the pipeline looks. */
async function rivalsOf(trx: Trx, id: RunId): Promise<Rival[]> {
  const { pipeline } = await trx
    .selectFrom('run')
    .select('pipeline')
    .where('id', '=', id)
    .executeTakeFirstOrThrow(() => runNotFound(id));
  await sql`select pg_advisory_xact_lock(hashtextextended(${`millrace admission ${pipeline}`}, 0))`.execute(trx);
  return trx
    .selectFrom('run')
    .select(['id as run', unheld(sql`run.queue`).as('abandoned')])
    .where('pipeline', '=', pipeline)
    .where('at', '=', 'running')
    .where('id', '!=', id)
    .orderBy('id')
    .execute();
}

/** Answers the key of the lock that its session has to hold. Workers that have been gone for long are forgotten. */
async function register(db: Trx, { id, label, leaseMs, queue, plans }: WorkerInfo): Promise<number> {
  await sql`delete from millrace.worker where seen_at < clock_timestamp() - interval '7 days'`.execute(db);
  const { lock_key } = await db
    .insertInto('worker')
    .values({ id, label, lease_ms: leaseMs, queue: queue ?? null, plans: plans ? [...plans] : null })
    .returning('lock_key')
    .executeTakeFirstOrThrow();
  return lock_key;
}

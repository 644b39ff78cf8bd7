import type {
  BackfillItem,
  BackfillItemState,
  BackfillStep,
  NewBackfill,
  RunId,
  StoredBackfill,
  StoredError,
} from '@millrace/core/runtime';
import { type Kysely, type Selectable, sql } from 'kysely';
import { json } from './json.ts';
import type { BackfillItemTable, BackfillTable } from './schedule-schema.ts';
import { reserving } from './schedules.ts';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** Rows of backfills, see core's `backfill.ts`. */

export async function createBackfill(db: Db, backfill: NewBackfill): Promise<StoredBackfill> {
  const { id, pipeline, range, order, maxParallel, params, fullRefresh, items } = backfill;
  await db.transaction().execute(async (trx) => {
    await trx
      .insertInto('backfill')
      .values({
        id,
        pipeline,
        range: json(range),
        direction: order,
        max_parallel: maxParallel,
        params: json(params),
        full_refresh: fullRefresh,
      })
      .execute();
    const rows = items.map(({ logicalTime, window }, i) => ({ ordinal: i + 1, at: logicalTime, start: window.start, end: window.end }));
    await sql`insert into millrace.backfill_item (backfill, ordinal, logical_time, window_start, window_end)
      select ${id}, ordinal, at, start, "end"
      from json_to_recordset(${json(rows)}::json) as i(ordinal int, at timestamptz, start timestamptz, "end" timestamptz)`.execute(trx);
  });
  return (await backfill_(db, id)) as StoredBackfill;
}

/** Ids of those of these pipelines that are not done. */
export async function openBackfills(db: Db, pipelines: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('backfill')
    .select('id')
    .where('state', 'in', ['running', 'cancelling'])
    .where('pipeline', '=', sql<string>`any(${[...pipelines]})`)
    .orderBy('created_at')
    .execute();
  return rows.map(({ id }) => id);
}

export async function backfills(
  db: Db,
  { pipelines, limit }: { readonly pipelines?: readonly string[]; readonly limit: number },
): Promise<StoredBackfill[]> {
  let query = db.selectFrom('backfill').selectAll().orderBy('created_at', 'desc').limit(limit);
  if (pipelines) query = query.where('pipeline', 'in', pipelines.length > 0 ? pipelines : ['']);
  return withCounts(db, await query.execute());
}

async function backfill_(db: Db, id: string): Promise<StoredBackfill | null> {
  const row = await db.selectFrom('backfill').selectAll().where('id', '=', id).executeTakeFirst();
  return row ? ((await withCounts(db, [row]))[0] as StoredBackfill) : null;
}

export { backfill_ as backfill };

export async function backfillItems(db: Db, id: string): Promise<BackfillItem[]> {
  return (await db.selectFrom('backfill_item').selectAll().where('backfill', '=', id).orderBy('ordinal').execute()).map(itemOf);
}

export async function cancelBackfill(db: Db, id: string): Promise<StoredBackfill | null> {
  await db.transaction().execute(async (trx) => {
    const asked = await trx
      .updateTable('backfill')
      .set({ state: 'cancelling' })
      .where('id', '=', id)
      .where('state', '=', 'running')
      .returning('id')
      .executeTakeFirst();
    if (asked)
      await trx
        .updateTable('backfill_item')
        .set({ state: 'cancelled' })
        .where('backfill', '=', id)
        .where('state', '=', 'pending')
        .execute();
  });
  return backfill_(db, id);
}

export async function resumeBackfill(db: Db, id: string, { onlyFailed }: { readonly onlyFailed: boolean }): Promise<StoredBackfill | null> {
  await db.transaction().execute(async (trx) => {
    const row = await trx.selectFrom('backfill').select('id').where('id', '=', id).forUpdate().executeTakeFirst();
    if (!row) return;
    const again: readonly BackfillItemState[] = onlyFailed ? ['failed'] : ['failed', 'cancelled'];
    await trx
      .updateTable('backfill_item')
      .set({ state: 'pending', because: null, attempt: sql<number>`attempt + 1` })
      .where('backfill', '=', id)
      .where('state', 'in', again)
      .execute();
    // One that is being cancelled goes on, and what was asked to stop may stop: it is resumed with the next call.
    await trx.updateTable('backfill').set({ state: 'running', ended_at: null }).where('id', '=', id).execute();
  });
  return backfill_(db, id);
}

/** Notes which runs have ended, and reserves the next items: their rows say `launching` before anybody asks for their runs. */
export async function stepBackfill(db: Db, id: string): Promise<BackfillStep | null> {
  return reserving(db, async (trx) => {
    const locked = await trx
      .selectFrom('backfill')
      .select(['state', 'max_parallel'])
      .where('id', '=', id)
      .forUpdate()
      .skipLocked()
      .executeTakeFirst();
    if (!locked) return null;
    await sql`update millrace.backfill_item i
      set state = case r.at when 'succeeded' then 'succeeded' when 'cancelled' then 'cancelled' else 'failed' end
      from millrace.run r where i.backfill = ${id} and i.state = 'running' and r.id = i.run and r.at not in ('queued', 'running')`.execute(
      trx,
    );
    if (locked.state === 'running')
      await sql`update millrace.backfill_item set state = 'launching' where backfill = ${id} and ordinal in (
        select ordinal from millrace.backfill_item where backfill = ${id} and state = 'pending' order by ordinal
        limit greatest(0, ${locked.max_parallel} - (select count(*) from millrace.backfill_item where backfill = ${id} and state in ('launching', 'running'))))`.execute(
        trx,
      );
    const open = await trx
      .selectFrom('backfill_item')
      .selectAll()
      .where('backfill', '=', id)
      .where('state', 'in', ['launching', 'running'])
      .orderBy('ordinal')
      .execute();
    await endWhereDone(trx, id, locked.state);
    const { state, pipeline, params, full_refresh } = await trx
      .selectFrom('backfill')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    return {
      pipeline,
      params,
      fullRefresh: full_refresh,
      launch: open.filter(({ state }) => state === 'launching').map(itemOf),
      cancel: state === 'cancelling' ? open.flatMap(({ state, run }) => (state === 'running' && run !== null ? [run] : [])) : [],
    };
  });
}

async function endWhereDone(db: Db, id: string, state: StoredBackfill['state']): Promise<void> {
  if (state !== 'running' && state !== 'cancelling') return;
  await sql`update millrace.backfill b set ended_at = clock_timestamp(), state = case
      when ${state} = 'cancelling' then 'cancelled'
      when exists (select from millrace.backfill_item where backfill = b.id and state = 'failed') then 'failed'
      when exists (select from millrace.backfill_item where backfill = b.id and state = 'cancelled') then 'cancelled'
      else 'succeeded' end
    where id = ${id}
      and not exists (select from millrace.backfill_item where backfill = b.id and state in ('pending', 'launching', 'running'))`.execute(
    db,
  );
}

export async function settleItem(
  db: Db,
  id: string,
  ordinal: number,
  outcome: { readonly run: RunId } | { readonly refused: StoredError },
): Promise<void> {
  await db
    .updateTable('backfill_item')
    .set(
      'run' in outcome
        ? { state: 'running', run: outcome.run }
        : { state: 'failed', because: `${outcome.refused.message} ${outcome.refused.remedy}` },
    )
    .where('backfill', '=', id)
    .where('ordinal', '=', ordinal)
    .where('state', '=', 'launching')
    .execute();
}

const none: Readonly<Record<BackfillItemState, number>> = { pending: 0, launching: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 };

async function withCounts(db: Db, rows: readonly Selectable<BackfillTable>[]): Promise<StoredBackfill[]> {
  if (rows.length === 0) return [];
  const counted = await db
    .selectFrom('backfill_item')
    .select(['backfill', 'state', sql<string>`count(*)`.as('count')])
    .where(
      'backfill',
      'in',
      rows.map(({ id }) => id),
    )
    .groupBy(['backfill', 'state'])
    .execute();
  return rows.map(({ direction, max_parallel, full_refresh, created_at, ended_at, ...row }) => ({
    ...row,
    order: direction,
    maxParallel: max_parallel,
    fullRefresh: full_refresh,
    createdAt: created_at.toISOString(),
    endedAt: ended_at?.toISOString() ?? null,
    counts: { ...none, ...Object.fromEntries(counted.flatMap((one) => (one.backfill === row.id ? [[one.state, Number(one.count)]] : []))) },
  }));
}

function itemOf({
  ordinal,
  logical_time,
  window_start,
  window_end,
  state,
  run,
  attempt,
  because,
}: Selectable<BackfillItemTable>): BackfillItem {
  const window = { start: window_start.toISOString(), end: window_end.toISOString() };
  return { ordinal, logicalTime: logical_time.toISOString(), window, state, run, attempt, because };
}

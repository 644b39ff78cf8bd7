import {
  type Grants,
  leaseLost,
  type RunRecord,
  type Share,
  type SplitClaim,
  type SplitClaims,
  type SplitHolder,
  type SplitStore,
  type StagedPart,
  type StageRef,
} from '@millrace/core/runtime';
import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import { json } from './json.ts';
import * as limits from './limits.ts';
import { workerGone } from './liveness.ts';
import type { StateDatabase } from './schema.ts';
import { wakeWaiting } from './transition.ts';

type Db = Kysely<StateDatabase>;
type Guard = <T>(work: (db: Db) => Promise<T>) => Promise<T>;

/** `SplitStore` in Postgres. Nothing is tidied up when an attempt ends: rows of another epoch do not count, and go with the run. */
export function splitStore(guard: Guard, read: (trx: Transaction<StateDatabase>, run: string) => Promise<RunRecord>): SplitStore {
  const within = <T>(work: (trx: Transaction<StateDatabase>) => Promise<T>): Promise<T> => guard((db) => db.transaction().execute(work));
  return {
    offer: (lease, splits) =>
      within(async (trx) => {
        await mustHold(trx, lease);
        const { run, stage, epoch } = lease;
        await sql`delete from millrace.split where run = ${run} and stage = ${stage}`.execute(trx);
        await sql`delete from millrace.share where run = ${run} and stage = ${stage} and epoch < ${epoch}`.execute(trx);
        await sql`insert into millrace.split (run, stage, split, epoch, ordinal)
          select ${run}, ${stage}, split, ${epoch}, ordinal from unnest(${splits}::text[]) with ordinality as s(split, ordinal)`.execute(
          trx,
        );
        await wake(trx, lease);
      }),
    join: (ref, worker, grant) => within((trx) => join(trx, ref, worker, (used, run) => grant(run, used), read)),
    free: (ref) => guard((db) => freeOf(db, ref)),
    renew: (worker, shares) => guard((db) => renew(db, worker, shares)),
    claim: (holder, most) => guard((db) => claim(db, holder, most)),
    store: (holder, claimed, part) => guard((db) => store(db, holder, claimed, part)),
    leave: (share) => within((trx) => leave(trx, share)),
    async sweep() {
      const { rows } = await guard((db) =>
        sql<Share>`select id, run, stage, epoch, worker, grants from millrace.share h where ${workerGone(sql`h.worker`)} limit 100`.execute(
          db,
        ),
      );
      for (const share of rows) await within((trx) => leave(trx, share));
    },
  };
}

type Expression = RawBuilder<unknown>;

/** Splits that nobody stages, of the attempt that SQL expressions name. */
const freeSplits = (run: Expression, stage: Expression, epoch: Expression): Expression =>
  sql`millrace.split p where p.run = ${run} and p.stage = ${stage} and p.epoch = ${epoch} and ${free}`;

/** Whether somebody could join. */
export const isOpen = (...attempt: [run: Expression, stage: Expression, epoch: Expression]): RawBuilder<boolean> =>
  sql<boolean>`exists (select 1 from ${freeSplits(...attempt)})`;

/** How many splits there are to join for. */
export const openSplits = (...attempt: [run: Expression, stage: Expression, epoch: Expression]): RawBuilder<number> =>
  sql<number>`(select count(*) from ${freeSplits(...attempt)})`;

/** Of a share `h` of the attempt that runs. */
const alive = sql<boolean>`h.lease_until > clock_timestamp()`;

/** Of a split `p` of the attempt that runs: nobody stages it, or nobody any more. */
const free = sql<boolean>`not p.staged and (p.share is null or (p.share <> 0 and not exists (
  select 1 from millrace.share h where h.id = p.share and ${alive})))`;

const idOf = (holder: SplitHolder): string => ('id' in holder ? holder.id : '0');

/** One row where the attempt runs, and who claims is it or has a share in it. It stays so until the transaction ends. */
const held = (holder: SplitHolder): RawBuilder<unknown> => {
  const { run, stage, epoch, worker } = holder;
  const running = sql`from millrace.stage s where s.run = ${run} and s.id = ${stage} and s.epoch = ${epoch} and s.at = 'running'`;
  return 'id' in holder
    ? sql`${running} and exists (select 1 from millrace.share h where h.id = ${holder.id} and ${alive}) for share of s`
    : sql`${running} and s.worker = ${worker} for share of s`;
};

async function mustHold(trx: Db, holder: SplitHolder): Promise<void> {
  const { rows } = await sql`select 1 ${held(holder)}`.execute(trx);
  if (rows.length === 0) throw leaseLost(holder);
}

/** Somebody, where there is something to join for. */
async function wake(trx: Db, { run, stage, epoch }: StageRef & { readonly epoch: number }): Promise<void> {
  await sql`with woken as (
      insert into millrace.outbox (queue, run, stage)
      select r.queue, r.id, ${stage} from millrace.run r join millrace.stage s on s.run = r.id and s.id = ${stage}
      where r.id = ${run} and r.queue is not null and s.at = 'running' and s.epoch = ${epoch}
        and ${isOpen(sql`s.run`, sql`s.id`, sql`s.epoch`)} returning run)
    select pg_notify('millrace', run) from woken`.execute(trx);
}

async function join(
  trx: Transaction<StateDatabase>,
  { run, stage }: StageRef,
  worker: string,
  grant: (used: ReadonlyMap<string, number>, run: RunRecord) => Grants | null,
  read: (trx: Transaction<StateDatabase>, run: string) => Promise<RunRecord>,
): Promise<Share | null> {
  const { rows } = await sql<{ epoch: number }>`
    select s.epoch from millrace.stage s where s.run = ${run} and s.id = ${stage} and s.at = 'running'
      and ${isOpen(sql`s.run`, sql`s.id`, sql`s.epoch`)} for share of s`.execute(trx);
  const [found] = rows;
  if (!found) return null;
  const record = await read(trx, run);
  const grants = grant(await limits.grantedBeside(trx, record, stage), record);
  if (grants === null) return null;
  const { rows: made } = await sql<{ id: string }>`
    insert into millrace.share (run, stage, epoch, worker, lease_until, grants)
    values (${run}, ${stage}, ${found.epoch}, ${worker},
      clock_timestamp() + coalesce((select lease_ms from millrace.worker w where w.id = ${worker}), 60000) * interval '1 ms', ${json(grants)}::json)
    returning id`.execute(trx);
  const share: Share = { id: (made[0] as { id: string }).id, run, stage, epoch: found.epoch, worker, grants };
  await wake(trx, share);
  return share;
}

async function freeOf(db: Db, { run, stage }: StageRef): Promise<number | null> {
  const { rows } = await sql<{ offered: number; free: number }>`
    select count(*)::int as offered, (count(*) filter (where ${free}))::int as free
    from millrace.split p join millrace.stage s on s.run = p.run and s.id = p.stage and s.epoch = p.epoch
    where s.run = ${run} and s.id = ${stage} and s.at = 'running'`.execute(db);
  const [found] = rows;
  return found && found.offered > 0 ? found.free : null;
}

async function leave(trx: Db, share: Share): Promise<void> {
  const { numAffectedRows } = await sql`delete from millrace.share where id = ${share.id}`.execute(trx);
  if (numAffectedRows === 0n) return;
  await wakeWaiting(trx, Object.keys(share.grants));
  await wake(trx, share);
}

/** A share that was lost once stays so: its splits may be somebody else's by now. */
async function renew(db: Db, worker: string, shares: readonly string[]): Promise<string[]> {
  if (shares.length === 0) return [];
  const { rows } = await sql<{ id: string }>`
    update millrace.share h
    set lease_until = clock_timestamp() + coalesce((select lease_ms from millrace.worker w where w.id = ${worker}), 60000) * interval '1 ms'
    from millrace.stage s
    where h.id = any (${shares}::int8[]) and h.worker = ${worker} and s.run = h.run and s.id = h.stage and s.epoch = h.epoch and s.at = 'running'
      and h.lease_until > clock_timestamp()
    returning h.id`.execute(db);
  const kept = new Set(rows.map(({ id }) => id));
  return shares.filter((id) => !kept.has(id));
}

async function claim(db: Db, holder: SplitHolder, most: number): Promise<SplitClaims> {
  const { run, stage, epoch } = holder;
  const ofStage = sql`p.run = ${run} and p.stage = ${stage} and p.epoch = ${epoch}`;
  const { rows } = await sql<{ left: number | null; split: string | null; claims: number }>`
    with held as (select 1 ${held(holder)}),
      free as (
        select p.split from millrace.split p where ${ofStage} and ${free} and exists (select from held)
        order by p.ordinal limit ${most} for update of p skip locked),
      taken as (
        update millrace.split p set share = ${idOf(holder)}::int8, claims = p.claims + 1 from free
        where ${ofStage} and p.split = free.split returning p.split, p.claims, p.ordinal)
    select l.left, t.split, t.claims
    from (select count(*)::int as left from millrace.split p where ${ofStage} and not p.staged having exists (select from held)) l
    left join taken t on true order by t.ordinal`.execute(db);
  const [first] = rows;
  if (!first) throw leaseLost(holder);
  return {
    left: first.left ?? 0,
    claims: rows.flatMap(({ split, claims }): SplitClaim[] => (split === null ? [] : [{ split, claim: claims }])),
  };
}

/** Again without harm, where the answer to the first one was lost. */
async function store(db: Db, holder: SplitHolder, { split, claim }: SplitClaim, part: StagedPart): Promise<void> {
  const { run, stage, epoch } = holder;
  const { numAffectedRows } = await sql`
    with held as (select 1 ${held(holder)}),
      staged as (
        update millrace.split p set staged = true
        where p.run = ${run} and p.stage = ${stage} and p.epoch = ${epoch} and p.split = ${split} and p.share = ${idOf(holder)}::int8
          and p.claims = ${claim} and exists (select from held) returning p.split)
    insert into millrace.part (run, stage, split, part) select ${run}, ${stage}, split, ${json(part)}::json from staged
    on conflict (run, stage, split) do update set part = excluded.part`.execute(db);
  if (numAffectedRows === 0n) throw leaseLost(holder);
}

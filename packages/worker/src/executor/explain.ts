import {
  followsChanges,
  isDone,
  isEnded,
  type LeaseState,
  limitKey,
  type PlanStage,
  type RemoteWork,
  type RunRecord,
  remoteOf,
  type StageRecord,
  stagesById,
  stepFunctionsWorker,
  type WorkerState,
} from '@millrace/core/runtime';

/** Why a run does not go on at this moment. */
export function whyRunWaits(
  run: RunRecord,
  { abandoned, workers, byMachine }: { abandoned: boolean } & Pick<Circumstances, 'workers' | 'byMachine'>,
): string | null {
  if (isEnded(run.state)) return null;
  if (abandoned && followsChanges(run.plan))
    return `no process follows it; "millrace run ${run.request.pipeline}" goes on where the targets are`;
  if (abandoned) return `no process works on it; "millrace runs retry ${run.id}" goes on with it`;
  if (run.cancelRequestedAt !== null) return 'it is being cancelled: what runs is being stopped';
  if (run.state.at !== 'queued') return null;
  if (byMachine) return 'waits for its execution to come to a stage';
  if (workers !== null && !workers.some(({ gone }) => !gone)) return nobodyAlive;
  return run.state.because ?? 'waits to be admitted';
}

const nobodyAlive = 'waits for a worker: none of its fleet is alive; "millrace worker" starts one';

/** Why a stage does not run at this moment: which need, which limit, until when. */
export function whyStageWaits(run: RunRecord, stage: StageRecord, circumstances: Circumstances): string | null {
  const { lease, workers, byMachine, now } = circumstances;
  const { state } = stage;
  const plan = stagesById(run.plan).get(stage.id) as PlanStage;
  switch (state.at) {
    case 'waiting': {
      if (run.state.at === 'queued') return 'waits for the run to begin';
      const missing = plan.needs.filter((need) => !isDone(run.stages.get(need) as StageRecord));
      return `waits for ${missing.map((need) => `${need} (${run.stages.get(need)?.state.at})`).join(', ')}`;
    }
    case 'ready':
      return whyNobodyCan(run, workers) ?? whyLimitHolds(plan, circumstances) ?? (byMachine ? forTask : whyNobodyClaims(run, workers));
    case 'retrying': {
      const again = `attempt ${state.attempt + 1} of ${plan.retry.attempts}, after ${state.error.code}`;
      if (byMachine) return `${forTask} again: ${again}`;
      const seconds = Math.max(0, (Date.parse(state.next) - now.getTime()) / 1000);
      const until = `${state.next.slice(11, 19)} UTC (${seconds.toFixed(1)} s more)`;
      return `waits until ${until} for ${again}`;
    }
    case 'elsewhere':
      return whatGoesOn(run, stage, circumstances);
    case 'running': {
      if (lease?.workerGone) return 'its worker has gone; whoever looks next gives it to another';
      if (lease && Date.parse(lease.until) < now.getTime()) return 'its worker has not been heard of; the lease is over';
      return null;
    }
    default:
      return null;
  }
}

const forTask = 'waits for Step Functions to start its task';

/** `runs elsewhere: Glue job nightly, RUNNING 40 %, https://…; looked at 12:00:03 UTC, next look in 20 s` */
function whatGoesOn({ plan, cancelRequestedAt }: RunRecord, { id, state }: StageRecord, { works, now }: Circumstances): string {
  const work = works.find(({ stage }) => stage === id);
  const label = remoteOf(plan, id)?.label ?? id;
  if (state.at === 'elsewhere' && state.worker === stepFunctionsWorker) return `runs elsewhere: ${label}; Step Functions watches it`;
  const givenUp = state.at === 'elsewhere' ? state.ends : undefined;
  const after = givenUp ? `gave up after ${givenUp.code}; ` : '';
  if (!work?.handle) return `${after}may run elsewhere: whoever looks next asks for ${label}`;
  const share = work.progress === null ? '' : ` ${Math.round(work.progress * 100)} %`;
  const said = [label, ...(work.status === null ? [] : [`${work.status}${share}`]), work.handle.link ?? work.handle.id].join(', ');
  const ends = givenUp || cancelRequestedAt !== null || work.ending ? 'is being ended elsewhere' : 'runs elsewhere';
  const looked = work.lookedAt === null ? '' : `looked at ${work.lookedAt.slice(11, 19)} UTC, `;
  const seconds = Math.max(0, (Date.parse(work.nextAt ?? '') || 0) - now.getTime()) / 1000;
  return `${after}${ends}: ${said}; ${looked}${seconds === 0 ? 'the next look is due' : `next look in ${Math.ceil(seconds)} s`}`;
}

export interface Circumstances {
  /** What services do for stages of the run. */
  readonly works: readonly RemoteWork[];
  readonly lease: LeaseState | undefined;
  /** Of the fleet that the run belongs to; null where it belongs to one process, or to an execution. */
  readonly workers: readonly WorkerState[] | null;
  /** A state machine orders its stages. */
  readonly byMachine: boolean;
  /** What running attempts have been granted, by limit. */
  readonly granted: ReadonlyMap<string, number>;
  /** Who they are, by limit. */
  readonly holders: ReadonlyMap<string, readonly Holder[]>;
  /** Sizes of the environment's pools, where they are known here. */
  readonly pools: Readonly<Record<string, number>>;
  readonly now: Date;
}

/** A running attempt that has been granted a share of a limit. */
export interface Holder {
  readonly run: string;
  readonly pipeline: string;
  readonly stage: string;
}

function whyLimitHolds({ limits = [] }: PlanStage, { granted, holders, pools }: Circumstances): string | null {
  for (const limit of limits) {
    const key = limitKey(limit);
    const used = granted.get(key) ?? 0;
    const by = byWhom(holders.get(key) ?? []);
    if (limit.kind === 'pool') {
      const size = Object.hasOwn(pools, limit.name) ? (pools[limit.name] as number) : null;
      if (used > 0 && used >= (size ?? used)) return `waits for the pool "${limit.name}": ${taken(used, size, 'place')}${by}`;
    } else if (limit.most !== null && limit.most - used < Math.min(2, limit.most)) {
      return `waits for connections to ${limit.name}: ${taken(used, limit.most, 'connection')}${by}`;
    }
  }
  return null;
}

function taken(used: number, most: number | null, what: string): string {
  const of = most === null ? `${used} ${what}${used === 1 ? '' : 's'}` : `${used} of ${most} ${what}${most === 1 ? '' : 's'}`;
  return `${of} ${(most ?? used) === 1 ? 'is' : 'are'} taken`;
}

/** As many as a line has room for. */
const named = 3;

function byWhom(holders: readonly Holder[]): string {
  if (holders.length === 0) return '';
  const names = holders.slice(0, named).map(({ pipeline, stage, run }) => `${stage} of ${pipeline} (run ${run})`);
  const more = holders.length > named ? ` and ${holders.length - named} more` : '';
  return `, by ${names.join(', ')}${more}`;
}

/** No limit matters where nobody could claim it. */
function whyNobodyCan({ plan, request }: RunRecord, workers: readonly WorkerState[] | null): string | null {
  if (workers === null) return null;
  const alive = workers.filter(({ gone }) => !gone);
  if (alive.length === 0) return nobodyAlive;
  if (alive.some(({ plans }) => plans?.includes(plan.fingerprint) ?? true)) return null;
  return `waits for a worker that has this version of "${request.pipeline}" (${plan.fingerprint.slice(0, 12)}); the ${alive.length} that live have others`;
}

function whyNobodyClaims({ plan }: RunRecord, workers: readonly WorkerState[] | null): string {
  if (workers === null) return 'waits for a free place in a worker';
  const able = workers.filter(({ gone, plans }) => !gone && (plans?.includes(plan.fingerprint) ?? true));
  return `waits for a free place in one of ${able.length} workers that have the pipeline`;
}

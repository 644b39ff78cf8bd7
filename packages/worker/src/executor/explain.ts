import {
  followsChanges,
  isDone,
  isEnded,
  type LeaseState,
  limitKey,
  type PlanStage,
  type RunRecord,
  type StageRecord,
  stagesById,
  type WorkerState,
} from '@millrace/core/runtime';

/** Why a run does not go on at this moment. */
export function whyRunWaits(run: RunRecord, abandoned: boolean): string | null {
  if (isEnded(run.state)) return null;
  if (abandoned && followsChanges(run.plan))
    return `no process follows it; "millrace run ${run.request.pipeline}" goes on where the targets are`;
  if (abandoned) return `no process works on it; "millrace runs retry ${run.id}" goes on with it`;
  if (run.cancelRequestedAt !== null) return 'it is being cancelled: what runs is being stopped';
  return run.state.at === 'queued' ? (run.state.because ?? 'waits to be admitted') : null;
}

/** Why a stage does not run at this moment: which need, which limit, until when. */
export function whyStageWaits(run: RunRecord, stage: StageRecord, { lease, workers, granted, now }: Circumstances): string | null {
  const { state } = stage;
  const plan = stagesById(run.plan).get(stage.id) as PlanStage;
  switch (state.at) {
    case 'waiting': {
      if (run.state.at === 'queued') return 'waits for the run to begin';
      const missing = plan.needs.filter((need) => !isDone(run.stages.get(need) as StageRecord));
      return `waits for ${missing.map((need) => `${need} (${run.stages.get(need)?.state.at})`).join(', ')}`;
    }
    case 'ready':
      return whyLimitHolds(plan, granted) ?? whyNobodyClaims(run, workers);
    case 'retrying': {
      const seconds = Math.max(0, (Date.parse(state.next) - now.getTime()) / 1000);
      return `waits ${seconds.toFixed(1)} s more for attempt ${state.attempt + 1} of ${plan.retry.attempts}, after ${state.error.code}`;
    }
    case 'running': {
      if (lease?.workerGone) return 'its worker has gone; whoever looks next gives it to another';
      if (lease && Date.parse(lease.until) < now.getTime()) return 'its worker has not been heard of; the lease is over';
      return null;
    }
    default:
      return null;
  }
}

export interface Circumstances {
  readonly lease: LeaseState | undefined;
  /** Of the fleet that the run belongs to; null where it belongs to one process. */
  readonly workers: readonly WorkerState[] | null;
  /** What running attempts have been granted, by limit. */
  readonly granted: ReadonlyMap<string, number>;
  readonly now: Date;
}

function whyLimitHolds({ limits = [] }: PlanStage, granted: ReadonlyMap<string, number>): string | null {
  for (const limit of limits) {
    const used = granted.get(limitKey(limit)) ?? 0;
    if (limit.most === null) {
      if (used > 0) return `waits for the pool "${limit.name}", of which ${used} ${used === 1 ? 'place is' : 'places are'} taken`;
    } else if (limit.most - used < Math.min(2, limit.most)) {
      return `waits for connections to ${limit.name}: ${used} of ${limit.most} are taken`;
    }
  }
  return null;
}

function whyNobodyClaims({ plan, request }: RunRecord, workers: readonly WorkerState[] | null): string {
  if (workers === null) return 'waits for a free place in a worker';
  const alive = workers.filter(({ gone }) => !gone);
  if (alive.length === 0) return 'waits for a worker: none of its fleet is alive; "millrace worker" starts one';
  const able = alive.filter(({ plans }) => plans?.includes(plan.fingerprint) ?? true);
  if (able.length > 0) return `waits for a free place in one of ${able.length} workers that have the pipeline`;
  return `waits for a worker that has this version of "${request.pipeline}" (${plan.fingerprint.slice(0, 12)}); the ${alive.length} that live have others`;
}

import {
  type EarlierAttempt,
  type FilesRef,
  type Grants,
  type Lease,
  type PlanStage,
  type RunFacts,
  type RunRecord,
  type Share,
  type StageJob,
  splitsGranted,
  stagesById,
} from '@millrace/core/runtime';
import type { AttemptSetting } from './stage-run.ts';

export const stageOf = (run: RunRecord, id: string): PlanStage => stagesById(run.plan).get(id) as PlanStage;

/** The work of an attempt as the process gets it that does it, or helps. */
export async function jobOf(run: RunRecord, lease: Lease | Share, grants: Grants | undefined, setting: AttemptSetting): Promise<StageJob> {
  const { pipeline, logicalTime, date, window, params, fullRefresh, until } = run.request;
  const stage = stageOf(run, lease.stage);
  const facts: RunFacts = { id: run.id, pipeline, logicalTime, date, window, params };
  return {
    run: facts,
    runAt: run.createdAt,
    fullRefresh,
    ...(until && { until }),
    stage,
    epoch: lease.epoch,
    redone: run.stages.get(stage.id)?.redone ?? 0,
    files: filesOf(run),
    earlier: isFirst(lease) ? nothing : await setting.store.earlier(run.id, stage.id),
    ...(setting.shared && { shared: true }),
    concurrency: splitsGranted(stage, grants, setting.splitConcurrency),
    memoryBudget: setting.memoryBudget,
  };
}

/** Before a first attempt nobody has planned or staged anything; who helps one goes by what it has planned itself. */
const isFirst = (lease: Lease | Share): boolean => lease.epoch === 1 && !('id' in lease);
const nothing: EarlierAttempt = { plan: null, parts: [] };

/** What the loads of this run have left, or those of an earlier run where they were not selected. */
function filesOf(run: RunRecord): Record<string, FilesRef> {
  const files: Record<string, FilesRef> = {};
  for (const { id, state } of run.stages.values()) {
    const output =
      state.at === 'succeeded'
        ? state.output
        : state.at === 'skipped' && state.because.kind === 'not-selected'
          ? state.because.output
          : null;
    if (output?.kind === 'load' && output.receipt.files) files[id] = output.receipt.files;
  }
  return files;
}

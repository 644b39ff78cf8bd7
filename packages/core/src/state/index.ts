export type { LogLine, StagePhase, StageProgress } from './progress.ts';
export type { RunEvent, StoredEvent } from './run-event.ts';
export {
  type EndedRun,
  isEnded,
  isFinal,
  type RunId,
  type RunRecord,
  type RunRequest,
  type RunState,
  type SkipReason,
  type StageOutput,
  type StageRecord,
  type StageState,
} from './run-state.ts';
export type { AttemptDetail, RunFilter, RunSummary } from './summary.ts';

export type {
  BackfillItem,
  BackfillItemState,
  BackfillSlice,
  BackfillStep,
  BackfillUnit,
  NewBackfill,
  StoredBackfill,
} from './backfill.ts';
export { apply, evolve, newRun } from './evolve.ts';
export { memoryStore } from './memory.ts';
export {
  elsewhereProgress,
  type LogLine,
  type RemoteProgress,
  type StagePhase,
  type StageProgress,
  type StreamProgress,
  type StreamTableState,
} from './progress.ts';
export {
  type Found,
  type Looks,
  lookMs,
  type RemoteIntent,
  type RemoteLook,
  type RemoteSeen,
  type RemoteStore,
  type RemoteWork,
} from './remote-store.ts';
export type { GoesOnBy, RunEvent, StoredEvent } from './run-event.ts';
export { makeRunId } from './run-id.ts';
export {
  type EndedRun,
  type Grants,
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
export type {
  NewTick,
  ScheduleChange,
  ScheduleStore,
  ScheduleView,
  StoredSchedule,
  Tick,
  TickCause,
} from './schedule-store.ts';
export type { Share, SplitClaim, SplitClaims, SplitHolder, SplitStore } from './split-store.ts';
export {
  type Decision,
  type EarlierAttempt,
  type HeldLease,
  type Lease,
  type LeaseState,
  type LogPage,
  leaseLost,
  type NewRun,
  type RenewedLease,
  type Rival,
  type RunStore,
  runNotFound,
  type StageRef,
  type Transition,
  type WakeUp,
  type WorkerHold,
  type WorkerInfo,
  type WorkerState,
  wakeUpPriority,
} from './store.ts';
export type { StoredStream, StoredStreamRequest, StreamKey, StreamRequest } from './stream-request.ts';
export { type AttemptDetail, attemptResult, type RunFilter, type RunSummary, summarise } from './summary.ts';

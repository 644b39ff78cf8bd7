export { type Command, decide, isDone, lossesAllowed, streamLossesAllowed, streamRunsWell } from './decide.ts';
export { downstream, stagesById } from './downstream.ts';
export type { Executor, RunDetail, StageDetail, Started, StartRequest, WatchEvent } from './executor.ts';
export { grantsOf, limitKey, type Room, splitsGranted } from './limits.ts';
export {
  machineBegan,
  machineEnded,
  machineLeft,
  machineReached,
  machineRedriven,
  stepFunctionsQueue,
  stepFunctionsWorker,
} from './machine.ts';
export { type Reopenings, reopeningsOf } from './reopenings.ts';
export { runRequest, stagesWith } from './request.ts';

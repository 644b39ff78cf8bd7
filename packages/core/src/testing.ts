/** For tests: of pipelines, of connectors, of stores. */

export { watchFailpoints } from './connector/failpoint.ts';
export { changeGroup, type GroupOptions } from './testing/change-groups.ts';
export { type ChangeSinkFixture, type ChangeSinkSuiteOptions, changeSinkConformance } from './testing/change-sink.ts';
export {
  type ChangeSourceFixture,
  type ChangeSourceSuiteOptions,
  changeSourceConformance,
  changeSourceTables,
} from './testing/change-source.ts';
export { testContext } from './testing/context.ts';
export { type MemoryCaptureOptions, type MemorySourcePoint, memoryDatabase } from './testing/memory-capture.ts';
export {
  MemoryDatabase,
  type MemoryRow,
  type MemoryState,
  memoryPosition,
  plainState,
  type Statement,
} from './testing/memory-database.ts';
export {
  type MemoryApplyOptions,
  type MemoryMirror,
  type MemorySinkPoint,
  memoryApply,
  memoryMirror,
  mirrorState,
} from './testing/memory-mirror.ts';
export { MemoryService, type MemoryServiceOptions, type ServiceCall, type ServiceWork, throttled } from './testing/memory-service.ts';
export { type MemorySelectionOptions, memorySelection } from './testing/memory-source.ts';
export { type MemoryTable, type MemoryTargetOptions, memoryTable, memoryTarget } from './testing/memory-target.ts';
export { planOf, requestFor, stageOf } from './testing/plans.ts';
export { type RemoteFixture, remoteTaskConformance } from './testing/remote-task.ts';
export { rowSinkConformance, type SinkFixture, type SinkRow, type SinkSuiteOptions, sinkTable } from './testing/row-sink.ts';
export { rowSourceConformance, type SourceFixture } from './testing/row-source.ts';
export { type LocalResult, type RunLocalOptions, runLocal } from './testing/run-local.ts';
export { runStoreConformance } from './testing/run-store.ts';
export { type StreamWorld, type StreamWorldOptions, streamWorld } from './testing/stream-world.ts';
export type { Test } from './testing/suite.ts';
export { Choices, seeded, workloadDatabase, workloadTables, workTransaction } from './testing/workload.ts';

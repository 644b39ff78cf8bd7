export { type NamedTransform, type RowChain, rowChain } from './chain.ts';
export { engineFailpoints } from './failpoints.ts';
export { storeFailure } from './failure.ts';
export { executeId, loadId } from './load-id.ts';
export { rejectedSchema } from './reject-spool.ts';
export { judge, type Verdict } from './retry.ts';
export { batchesOf } from './route.ts';
export { runStage, stageTimeout } from './run-stage.ts';
export type { AttemptProgress, StageJob, StagePorts } from './stage-job.ts';

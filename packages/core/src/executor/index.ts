export type { Executor, RunDetail, StageDetail, Started, StartRequest, WatchEvent } from './executor.ts';

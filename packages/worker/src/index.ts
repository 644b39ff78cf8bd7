export type { LocalExecutor, LocalOptions } from './local/options.ts';
export type { LoadedPipeline, OutsideContextOptions, Secrets } from './local/surface.ts';

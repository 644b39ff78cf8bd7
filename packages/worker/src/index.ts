export { importFile } from './load/import-file.ts';
export { type LoadedPipeline, loadPipeline } from './load/load.ts';
export { localExecutor } from './local/local-executor.ts';
export type { LocalExecutor, LocalOptions } from './local/options.ts';
export { type OutsideContextOptions, outsideContext } from './secrets/outside.ts';
export type { Redactor } from './secrets/redact.ts';
export { environmentSecrets, type Secrets, type SecretsOptions } from './secrets/secrets.ts';
export { postgresStore } from './store/postgres-store.ts';
export { workerFailpoints } from './worker/failpoints.ts';

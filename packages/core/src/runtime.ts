/** What executors and connectors import: contracts, batches, the plan and its compiler, the engine. */

export * from './author/index.ts';
export * from './batch/index.ts';
export * from './connector/index.ts';
export * from './error/index.ts';
export * from './executor/index.ts';
export * from './plan/index.ts';
export * from './run/index.ts';
export * from './schema/index.ts';
export * from './state/index.ts';

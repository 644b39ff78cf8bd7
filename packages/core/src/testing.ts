/** For tests: of pipelines, of connectors, of stores. */
export { planOf, requestFor, stageOf } from './testing/plans.ts';
export { runStoreConformance } from './testing/run-store.ts';
export type { Test } from './testing/suite.ts';

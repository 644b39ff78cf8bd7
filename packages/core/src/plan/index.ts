export { check, compile } from './compile.ts';
export { canonicalJson, fingerprint } from './fingerprint.ts';
export type { Lane, Plan, PlanStage, PlanStep, Problem } from './plan.ts';

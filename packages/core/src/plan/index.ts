export { check, compile } from './compile.ts';
export { fingerprint, plainJson } from './fingerprint.ts';
export { followsChanges, type Lane, type Plan, type PlanStage, type PlanStep, type Problem, type StageLimit } from './plan.ts';
export { missingPools } from './pools.ts';
export { fill as fillParameters, remoteOf } from './remote.ts';
export { toMermaid } from './render-mermaid.ts';
export { toSvg } from './render-svg.ts';
export { type RenderOptions, renderPlan, scheduleText } from './render-text.ts';

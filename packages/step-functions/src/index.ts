/** Plans on AWS Step Functions: the machines, their policies, their template, what they cost. */

export type { Definition, State } from './asl.ts';
export { capabilities } from './capabilities.ts';
export { compileStateMachines, type Machine, type StateMachines } from './compile.ts';
export { type Cost, type CostLine, costOf } from './cost/cost.ts';
export {
  type StepFunctionsExecutor,
  type StepFunctionsOptions,
  type StoredViews,
  stepFunctionsExecutor,
} from './executor/executor.ts';
export { type StepFunctionsService, stepFunctionsService } from './executor/service.ts';
export { failedStages } from './machine/flags.ts';
export { stackName } from './machine/names.ts';
export type { Weight } from './machine/weight.ts';
export { type Barrier, type Block, seriesParallel } from './order/series-parallel.ts';
export { machinePolicy, type Policy, type Statement } from './policy/policy.ts';
export { causeOf, endOfError, type ReportOptions, reported, type TaskEnd } from './report/report.ts';
export { type ActivityTask, type TaskService, taskService } from './report/service.ts';
export { type Difference, differences } from './template/difference.ts';
export { largestText, type Template, templateOf, templateProblem } from './template/template.ts';
export { requestFromEnvironment, requestFromJson, type StageRequest, type StateInput } from './work/request.ts';
export { errorName } from './work/retry.ts';
export { taskVariables } from './work/variables.ts';

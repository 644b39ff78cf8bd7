export {
  type AlertKind,
  type AlertTarget,
  type Config,
  defineConfig,
  type Environment,
  type FleetSettings,
  type SecretPlace,
} from './config.ts';
export { type CronFields, parseCron } from './cron-expression.ts';
export { milliseconds } from './duration.ts';
export { type Pipeline, type PipelineOptions, type Priority, pipeline } from './pipeline.ts';
export { type RemoteParameters, type RemoteValue, remote } from './remote-step.ts';
export { isRunValue, type RunValue, run } from './run-value.ts';
export {
  type CronOptions,
  type CronSchedule,
  continuous,
  cron,
  daily,
  type FilesSchedule,
  hourly,
  manual,
  monthly,
  type NotifySchedule,
  onChange,
  onFiles,
  onNotify,
  onSuccess,
  type Schedule,
  type SuccessSchedule,
  type TableOperation,
  type TimeOfDay,
  timeZoneOf,
  type Weekday,
  weekly,
} from './schedule.ts';
export type {
  Duration,
  OnBadRow,
  Output,
  RejectedColumns,
  RejectedRecord,
  RetryOptions,
  Since,
  Step,
  StepOptions,
  StepWork,
} from './step.ts';
export type { StepFunctionsAlarms, StepFunctionsSettings } from './step-functions-settings.ts';
export {
  type CapturedTables,
  type CaptureOptions,
  capture,
  type ExtractOptions,
  extract,
  type LoadOptions,
  load,
  type RowsOf,
  step,
  stepsMade,
} from './steps.ts';
export type { Argument, BoundStatement, ExecuteRequest, QueryExpectation } from './task-step.ts';

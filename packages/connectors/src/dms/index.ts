export { dms } from './engine.ts';
export { tableMappings } from './mappings.ts';
export type { DmsOptions } from './options.ts';
export { type S3Output, s3Settings } from './output.ts';
export { type DmsStepOptions, type DmsStepSettings, type DmsSteps, dmsSteps } from './steps.ts';
export { type TaskSettingOptions, taskSettings } from './task-settings.ts';

export { type DmsStepOptions, type DmsStepSettings, type DmsSteps, dmsSteps } from './steps.ts';

export { type GlueConnection, type GlueJobOptions, type GlueSettings, glue } from './connection.ts';
export { requestArgument } from './job.ts';

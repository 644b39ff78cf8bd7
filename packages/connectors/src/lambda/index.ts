export { type BatchOptions, type InvokeOptions, type LambdaConnection, lambda } from './connection.ts';

export { type DynamoConnection, dynamodb } from './connection.ts';
export type { ItemsOptions } from './items-target.ts';
export type { ScanOptions } from './scan.ts';
export type { StreamsOptions } from './streams/capture.ts';

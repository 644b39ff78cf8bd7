export type { SslSetting } from './address.ts';
export { type PostgresApplyFailpoint, postgresApplyFailpoints } from './apply/failpoints.ts';
export { type Replayed, replayDeadLetters } from './apply/replay-dead-letters.ts';
export type { ApplyOptions } from './apply/settings.ts';
export type { PostgresCaptureOptions } from './capture/options.ts';
export { type AuroraOptions, aurora, type PostgresConnection, type PostgresOptions, postgres } from './connection.ts';
export { type DatabaseLogin, databaseLogin } from './database-login.ts';
export { type PostgresFailpoint, postgresFailpoints } from './sink/failpoints.ts';
export type { HistoryOptions, TableLoadOptions } from './sink/table-target.ts';

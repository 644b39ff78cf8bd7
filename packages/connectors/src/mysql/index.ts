export type { MysqlSslSetting } from './address.ts';
export { type MysqlApplyFailpoint, mysqlApplyFailpoints } from './apply/failpoints.ts';
export type { MysqlApplyOptions } from './apply/settings.ts';
export type { ZeroDates } from './batches.ts';
export type { MysqlCaptureOptions } from './capture/options.ts';
export { type MysqlConnection, type MysqlOptions, mariadb, mysql } from './connection.ts';
export { type MysqlFailpoint, mysqlFailpoints } from './sink/failpoints.ts';
export type { MysqlLoadOptions } from './sink/table-target.ts';

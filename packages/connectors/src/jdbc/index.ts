export { type JdbcConnection, type JdbcOptions, jdbc } from './connection.ts';
export type { JavaSettings } from './java.ts';
export { type JdbcFailpoint, jdbcFailpoints } from './sink/failpoints.ts';
export type { TableLoadOptions } from './sink/table-target.ts';

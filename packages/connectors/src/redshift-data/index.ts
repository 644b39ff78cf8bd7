export {
  type RedshiftBatchOptions,
  type RedshiftDataConnection,
  type RedshiftDataSettings,
  type RedshiftStatementOptions,
  redshiftData,
} from './connection.ts';

export { type RdsDataConnection, type RdsDataSettings, type RdsStatement, type RdsStatementOptions, rdsData } from './connection.ts';

export { type SftpConnection, type SftpOptions, sftp } from './connection.ts';

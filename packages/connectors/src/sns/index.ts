export { type NoticeOptions, type SnsConnection, sns } from './connection.ts';

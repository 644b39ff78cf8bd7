/** What authors import: tables, steps, pipelines, schedules, secrets, configuration. */
export { MillraceError } from './error/index.ts';
export * from './author/index.ts';
export {
  array, bit, bool, bytea, char, cidr, type Column, date, domain, enumeration, float4, float8, inet, int2, int4, int8, interval, json, jsonb, macaddr, macaddr8,
  numeric, other, range, type RowOf, type Table, table, text, time, timestamp, timestamptz, timetz, uuid, varbit, varchar,
} from './schema/index.ts';
export { type SecretRef, secret } from './connector/index.ts';

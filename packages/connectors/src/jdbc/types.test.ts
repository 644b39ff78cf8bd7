import { readFileSync } from 'node:fs';
import { typeName } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import type { ProductName } from './product.ts';
import { sourceType, typeRules } from './types.ts';

const column = (sqlType: number, name: string, precision = 0, scale = 0, signed = true) => ({
  name: 'c',
  sqlType,
  typeName: name,
  precision,
  scale,
  displaySize: 0,
  signed,
  nullable: 'yes' as const,
  autoIncrement: false,
});

/** Of engines that no test can run here: as the documentation of their drivers says. */
test.each<readonly [ProductName, ReturnType<typeof column>, string]>([
  ['oracle', column(2, 'NUMBER', 0, -127), 'numeric'],
  ['oracle', column(2, 'NUMBER', 126, -127), 'numeric'],
  ['oracle', column(2, 'NUMBER', 38, 0), 'numeric(38,0)'],
  ['oracle', column(2, 'NUMBER', 18, 0), 'int8'],
  ['oracle', column(2, 'NUMBER', 9, 0), 'int4'],
  ['oracle', column(2, 'NUMBER', 4, 0), 'int2'],
  ['oracle', column(2, 'NUMBER', 12, 2), 'numeric(12,2)'],
  ['oracle', column(2, 'NUMBER', 5, -2), 'numeric(7,0)'],
  ['oracle', column(2, 'NUMBER', 2, 5), 'numeric(5,5)'],
  ['oracle', column(93, 'DATE'), 'timestamp(0)'],
  ['oracle', column(93, 'TIMESTAMP', 0, 6), 'timestamp'],
  ['oracle', column(-101, 'TIMESTAMP WITH TIME ZONE', 0, 6), 'timestamptz'],
  ['oracle', column(-102, 'TIMESTAMP WITH LOCAL TIME ZONE', 0, 3), 'timestamp(3) with time zone'],
  ['oracle', column(100, 'BINARY_FLOAT'), 'float4'],
  ['oracle', column(12, 'VARCHAR2', 4000), 'varchar(4000)'],
  ['oracle', column(2005, 'CLOB', -1), 'text'],
  ['oracle', column(-3, 'RAW', 16), 'bytea'],
  ['oracle', column(-103, 'INTERVALYM'), 'text'],
  ['sqlserver', column(-6, 'tinyint', 3, 0, false), 'int2'],
  ['sqlserver', column(3, 'money', 19, 4), 'numeric(19,4)'],
  ['sqlserver', column(93, 'datetime', 23, 3), 'timestamp(3)'],
  ['sqlserver', column(93, 'datetime2', 27, 7), 'timestamp(7)'],
  ['sqlserver', column(-155, 'datetimeoffset', 33, 6), 'timestamptz'],
  ['sqlserver', column(1, 'uniqueidentifier', 36), 'uuid'],
  ['sqlserver', column(-7, 'bit', 1), 'bool'],
  ['sqlserver', column(-9, 'nvarchar', 2_147_483_647), 'text'],
  ['db2', column(1111, 'DECFLOAT', 34), 'numeric'],
  ['db2', column(2009, 'XML'), 'text'],
  ['db2', column(93, 'TIMESTAMP', 26, 12), 'timestamp(9)'],
  ['snowflake', column(-5, 'NUMBER', 38, 0), 'numeric(38,0)'],
  ['snowflake', column(93, 'TIMESTAMP_NTZ', 29, 9), 'timestamp(9)'],
  ['snowflake', column(2014, 'TIMESTAMP_TZ', 35, 6), 'timestamptz'],
  ['mysql', column(-5, 'BIGINT UNSIGNED', 20, 0, false), 'numeric(20,0)'],
  ['mysql', column(4, 'INT UNSIGNED', 10, 0, false), 'int8'],
  ['mysql', column(93, 'TIMESTAMP', 19, 0), 'timestamp(0) with time zone'],
  ['mysql', column(93, 'DATETIME', 26, 6), 'timestamp'],
  ['mysql', column(92, 'TIME', 10, 0), 'time(0)'],
  ['sqlite', column(4, 'INTEGER'), 'int8'],
  ['sqlite', column(12, 'VARCHAR(3)', 3), 'text'],
  ['sqlite', column(91, 'DATE'), 'text'],
  ['derby', column(2004, 'BLOB', 1_000), 'bytea'],
  ['other', column(3, 'DECIMAL', 0, 0), 'numeric'],
  ['other', column(70_000, 'MYSTERY'), 'text'],
])('%s: %j is %s', (product, of, becomes) => {
  const { type } = sourceType(product, of);
  const name = typeName(type);
  expect(name === 'timestamp with time zone' ? 'timestamptz' : name).toBe(becomes);
});

test('the table of types in the documentation is the one that is used', () => {
  const page = readFileSync(new URL('../../../../docs/connectors/jdbc.md', import.meta.url), 'utf8');
  const lines = typeRules.map(({ manual: [from, to, note] }) => `| ${from} | ${to} | ${note} |`.replaceAll('|  |', '| |'));
  for (const line of lines) expect(page).toContain(line);
});

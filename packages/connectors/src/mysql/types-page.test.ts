import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  array,
  bit,
  bool,
  bytea,
  type Column,
  char,
  cidr,
  date,
  enumeration,
  float4,
  float8,
  inet,
  int2,
  int4,
  int8,
  interval,
  json,
  jsonb,
  macaddr,
  macaddr8,
  numeric,
  other,
  range,
  text,
  time,
  timestamp,
  timestamptz,
  timetz,
  uuid,
  varbit,
  varchar,
} from '@millrace/core';
import { typeName } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { typeRows } from './column-type.ts';
import { sqlType } from './sink/sql-type.ts';

const page = readFileSync(join(import.meta.dirname, '../../../../docs/connectors/mysql.md'), 'utf8');
const between = (mark: string): string => page.split(`<!-- ${mark} -->\n`)[1]?.split('<!-- end -->')[0] ?? '';

test('the manual has the table of the types that are read', () => {
  const lines = typeRows.map(({ names, manual }) => `| ${names.map((name) => `\`${name}\``).join(', ')} | ${manual} |`);
  expect(between('types read')).toBe(`| MySQL, MariaDB | here |\n|---|---|\n${lines.join('\n')}\n`);
});

const kinds: readonly Column[] = [
  bool(),
  int2(),
  int4(),
  int8(),
  float4(),
  float8(),
  numeric(12, 2),
  numeric(),
  numeric(70, 2),
  text(),
  varchar(100),
  varchar(),
  char(5),
  bytea(),
  date(),
  time(3),
  timetz(),
  timestamp(),
  timestamptz(3),
  interval(),
  uuid(),
  json(),
  jsonb(),
  inet(),
  cidr(),
  macaddr(),
  macaddr8(),
  bit(12),
  bit(100),
  varbit(12),
  enumeration('mood', ['sad', 'glad']),
  array(int4()),
  range('int4range'),
  other('geometry'),
];

test('the manual has the table of the types that are made', () => {
  const how = { exact: 'exact', text: 'as text', range: 'in range' } as const;
  const lines = kinds.map(({ type }) => {
    const made = sqlType(type);
    return 'sql' in made
      ? `| \`${typeName(type)}\` | \`${made.sql}\` | ${how[made.kept]} |`
      : `| \`${typeName(type)}\` | refused | ${made.refused} |`;
  });
  expect(between('types loaded')).toBe(`| here | MySQL, MariaDB | |\n|---|---|---|\n${lines.join('\n')}\n`);
});

import {
  array, bit, bool, bytea, char, cidr, type Column, date, domain, enumeration, float4, float8, inet, int2, int4, int8, interval, json, jsonb, macaddr, macaddr8,
  numeric, other, range, text, time, timestamp, timestamptz, timetz, uuid, varbit, varchar,
} from '@millrace/core';

/** A type of the matrix: how it is declared, and values at its edges as Postgres reads them. */
export interface MatrixType {
  readonly name: string;
  readonly column: Column;
  /** Its type in DDL. */
  readonly sql: string;
  readonly values: readonly string[];
}

/** Types that the database must have before. */
export const prelude = `
  create type mood as enum ('sad', 'so so', 'it''s "fine"', 'émoji 😀');
  create domain positive as int4 check (value > 0);
  create domain code as varchar(5);
  create type pair as (a int, b text);
`;

const controls = Array.from({ length: 31 }, (_, index) => String.fromCharCode(index + 1)).join('');

const texts = [
  '', ' ', '  both  ', 'plain', '"', '""', "'", ',', '\\', '\\N', '\\.', '\\.\n', '\n', '\r', '\r\n', '\t', 'NULL', 'null', '{}', '{NULL}', 'a,b\n"c"\r\nd', controls, '\u007f', '\u0085', '\u2028\u2029',
  'é', '日本語', '😀👩‍👩‍👧‍👦', '\u{10ffff}', '\ufeffbom', '\u200b', "'; DROP TABLE orders; --", '0', 'true', 'Infinity', '1e400',
];

export const matrix: readonly MatrixType[] = [
  { name: 'bool', column: bool(), sql: 'bool', values: ['t', 'f'] },
  { name: 'int2', column: int2(), sql: 'int2', values: ['-32768', '-1', '0', '32767'] },
  { name: 'int4', column: int4(), sql: 'int4', values: ['-2147483648', '0', '2147483647'] },
  { name: 'int8', column: int8(), sql: 'int8', values: ['-9223372036854775808', '-9007199254740993', '0', '9007199254740993', '9223372036854775807'] },
  { name: 'float4', column: float4(), sql: 'float4', values: ['0', '-0', 'NaN', 'Infinity', '-Infinity', '3.4028235e+38', '1e-45', '-1.17549435e-38', '0.1', '16777217'] },
  { name: 'float8', column: float8(), sql: 'float8', values: ['0', '-0', 'NaN', 'Infinity', '-Infinity', '1.7976931348623157e+308', '5e-324', '0.1', '9007199254740993', '-1e-7', '1e21'] },
  {
    name: 'numeric',
    column: numeric(),
    sql: 'numeric',
    values: ['0', '-0.000', '1.10', 'NaN', 'Infinity', '-Infinity', `${'9'.repeat(131_072)}`, `0.${'1'.repeat(16_383)}`, '-12345678901234567890.12345678901234567890', '1e-20', '10000', '0.0001', '99999999'],
  },
  { name: 'numeric(12,2)', column: numeric(12, 2), sql: 'numeric(12,2)', values: ['0.00', '-0.01', '9999999999.99', '-9999999999.99', '1.10', 'NaN'] },
  { name: 'numeric(38,10)', column: numeric(38, 10), sql: 'numeric(38,10)', values: [`${'9'.repeat(28)}.${'9'.repeat(10)}`, `-${'9'.repeat(28)}.${'9'.repeat(10)}`, '0.0000000001'] },
  { name: 'numeric(60,20)', column: numeric(60, 20), sql: 'numeric(60,20)', values: [`${'9'.repeat(40)}.${'9'.repeat(20)}`, '-1.00000000000000000001'] },
  { name: 'text', column: text(), sql: 'text', values: [...texts, 'x'.repeat(5 * 1024 * 1024), `"${'é,\n'.repeat(50_000)}"`] },
  { name: 'varchar', column: varchar(), sql: 'varchar', values: texts },
  { name: 'varchar(5)', column: varchar(5), sql: 'varchar(5)', values: ['', '12345', '日本語日本', '😀😀😀😀😀', 'a   '] },
  { name: 'char(5)', column: char(5), sql: 'char(5)', values: ['', 'a', '  a', '12345', '日本', '"'] },
  { name: 'bytea', column: bytea(), sql: 'bytea', values: ['\\x', '\\x00', '\\x0001ff', '\\x5c', '\\x27220a0d', `\\x${'00ff'.repeat(100_000)}`] },
  { name: 'date', column: date(), sql: 'date', values: ['2024-02-29', '0001-01-01', '9999-12-31', '10000-01-01', '0044-03-15 BC', '4713-01-01 BC', '5874897-12-31', 'infinity', '-infinity', '1582-10-10', '1970-01-01'] },
  { name: 'time', column: time(), sql: 'time', values: ['00:00:00', '23:59:59.999999', '24:00:00', '12:00:00.000001', '01:02:03.1'] },
  { name: 'timetz', column: timetz(), sql: 'timetz', values: ['00:00:00+00', '24:00:00-15:59', '23:59:59.999999+15:59:59', '12:00:00.5+05:30'] },
  {
    name: 'timestamp',
    column: timestamp(),
    sql: 'timestamp',
    values: ['2024-02-29 23:59:59.999999', '0001-01-01 00:00:00', '9999-12-31 23:59:59.999999', '10000-01-01 00:00:00', '294276-12-31 23:59:59.999999', '4713-01-01 00:00:00 BC', 'infinity', '-infinity', '1969-12-31 23:59:59.999999', '2024-01-01 00:00:00.1'],
  },
  {
    name: 'timestamptz',
    column: timestamptz(),
    sql: 'timestamptz',
    values: ['2024-03-31 02:30:00.123456+02', '0001-01-01 00:00:00+00', '0001-01-01 00:00:00+00 BC', '9999-12-31 23:59:59.999999+00', '294276-12-31 23:59:59.999999+00', '4713-01-01 00:00:00+00 BC', 'infinity', '-infinity', '1883-11-18 12:03:57-05'],
  },
  { name: 'timestamptz(3)', column: timestamptz(3), sql: 'timestamptz(3)', values: ['2024-03-31 02:30:00.123+00', '2024-03-31 02:30:00+00'] },
  { name: 'interval', column: interval(), sql: 'interval', values: ['0', '1 year 2 mons 3 days 04:05:06.789', '-1 year +2 days -00:00:00.000001', '178000000 years', '-178000000 years', '24:00:00', '1 mon -1 day', '999999:59:59.999999'] },
  { name: 'uuid', column: uuid(), sql: 'uuid', values: ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '123e4567-e89b-12d3-a456-426614174000'] },
  { name: 'json', column: json(), sql: 'json', values: ['null', '{}', '[]', '{"a" :  1.00, "a": 2}', '"\\u00e9\\n\\""', '{"b":\n 123456789012345678901234567890.10}', '"😀"', '1e400'] },
  { name: 'jsonb', column: jsonb(), sql: 'jsonb', values: ['null', '{}', '[]', '{"a": 1.00, "b": [1, null, "x\\"y"]}', '123456789012345678901234567890.10', '"\\t\\\\"', '"😀"', '""'] },
  { name: 'inet', column: inet(), sql: 'inet', values: ['0.0.0.0', '255.255.255.255/31', '::', '2001:db8::1/64', '::ffff:1.2.3.4', '10.1.2.3/8'] },
  { name: 'cidr', column: cidr(), sql: 'cidr', values: ['10.0.0.0/8', '::/0', '2001:db8::/32', '1.2.3.4/32'] },
  { name: 'macaddr', column: macaddr(), sql: 'macaddr', values: ['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '08:00:2b:01:02:03'] },
  { name: 'macaddr8', column: macaddr8(), sql: 'macaddr8', values: ['08:00:2b:01:02:03:04:05'] },
  { name: 'bit(3)', column: bit(3), sql: 'bit(3)', values: ['000', '101', '111'] },
  { name: 'varbit', column: varbit(), sql: 'varbit', values: ['', '1', '0'.repeat(100), '10101010101'] },
  { name: 'enum', column: enumeration('mood', ['sad', 'so so', 'it\'s "fine"', 'émoji 😀']), sql: 'mood', values: ['sad', 'so so', 'it\'s "fine"', 'émoji 😀'] },
  { name: 'domain over int4', column: domain('positive', int4()), sql: 'positive', values: ['1', '2147483647'] },
  { name: 'domain over varchar', column: domain('code', varchar(5)), sql: 'code', values: ['', 'a,"b'] },
  { name: 'int4[]', column: array(int4()), sql: 'int4[]', values: ['{}', '{1,NULL,-2147483648}', '{{1,2},{3,4}}', '{{{1}},{{2}}}', '[0:1]={1,2}'] },
  { name: 'int8[]', column: array(int8()), sql: 'int8[]', values: ['{9223372036854775807,NULL}'] },
  { name: 'text[]', column: array(text()), sql: 'text[]', values: ['{}', '{NULL}', '{"NULL"}', '{""}', '{"a,b","c\\"d","e\\\\f","{}","\n"," "}', '{{a,NULL},{"",d}}', '{😀}'] },
  { name: 'numeric[]', column: array(numeric()), sql: 'numeric[]', values: ['{1.10,NaN,NULL}', '{Infinity}'] },
  { name: 'timestamptz[]', column: array(timestamptz()), sql: 'timestamptz[]', values: ['{"2024-01-01 00:00:00.5+00",infinity,NULL}'] },
  { name: 'bytea[]', column: array(bytea()), sql: 'bytea[]', values: ['{"\\\\x00ff",NULL,"\\\\x"}'] },
  { name: 'bool[]', column: array(bool()), sql: 'bool[]', values: ['{t,f,NULL}'] },
  { name: 'enum[]', column: array(enumeration('mood', ['sad', 'so so', 'it\'s "fine"', 'émoji 😀'])), sql: 'mood[]', values: ['{sad,"so so",NULL,"it\'s \\"fine\\""}'] },
  { name: 'int4range', column: range('int4range'), sql: 'int4range', values: ['empty', '[1,5)', '(,)', '[1,)'] },
  { name: 'tstzrange', column: range('tstzrange'), sql: 'tstzrange', values: ['["2024-01-01 00:00:00+00","2024-02-01 00:00:00.123456+00")', '[,infinity]', 'empty'] },
  { name: 'int4multirange', column: range('int4multirange'), sql: 'int4multirange', values: ['{}', '{[1,3),[5,9)}'] },
  { name: 'point', column: other('point'), sql: 'point', values: ['(1.5,-2)', '(Infinity,NaN)'] },
  { name: 'tsvector', column: other('tsvector'), sql: 'tsvector', values: ["'a':1 'it''s':2A", "''''"] },
  { name: 'composite', column: other('pair'), sql: 'pair', values: ['(1,"a ""b"", c")', '(,)', '(,"")'] },
  { name: 'money', column: other('money'), sql: 'money', values: ['$1,234.56', '-$92,233,720,368,547,758.08'] },
  { name: 'pg_lsn', column: other('pg_lsn'), sql: 'pg_lsn', values: ['0/0', 'FFFFFFFF/FFFFFFFF'] },
];

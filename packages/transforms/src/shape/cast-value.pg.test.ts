import { baseType, type ColumnType, sameType, textCodec, typeName } from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { anyValue, sampleTypes } from '../../../../test/arbitrary-value.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { castValue } from './cast-value.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.sql(`create type mood as enum ('sad', 'it''s "fine"', 'ok, {great}')`);
  await db.sql('create domain short as varchar(5)');
  await db.sql(`create function try_cast(value text, source text, target text) returns text language plpgsql
    set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'iso_8601' as $$
    declare answer text;
    begin
      execute format('select case when x is null then ''(null)'' else format(''%%s'', x) end from (select %L::%s::%s as x) as s', value, source, target) into answer;
      return answer;
    exception when others then return '(error)';
    end $$`);
});
afterAll(() => db[Symbol.asyncDispose]());

/** Text that databases are asked to read as something else. */
const readable = fc.constantFrom(
  ' 12 ',
  '12',
  '-7',
  '1.005',
  '2.5',
  '3.5',
  '-2.5',
  '0.5',
  '1e3',
  '',
  'abc',
  't',
  'yes',
  'of',
  'no',
  'NaN',
  '99999999999',
  '2024-02-29',
  '2024-02-29 10:20:30.1234567',
  '2024-02-29T10:20:30+02:00',
  '2024-02-29 10:20:30',
  '2023-02-29',
  'infinity',
  '10:20:30',
  'P1D',
  '{"a": 1}',
  'sad',
  '0d1c2b3a-0000-4000-8000-123456789abc',
  'a much longer text than fits',
);

const targets: ColumnType[] = [
  ...sampleTypes.filter(({ kind }) => !['array', 'range', 'other', 'domain', 'jsonb', 'json', 'inet', 'cidr'].includes(kind)),
  { kind: 'numeric', precision: 6, scale: 1 },
  { kind: 'timestamp', precision: 2 },
  { kind: 'timestamptz', precision: 1 },
  { kind: 'array', of: { kind: 'text' } },
  { kind: 'array', of: { kind: 'numeric', precision: 12, scale: 2 } },
  { kind: 'array', of: { kind: 'int4' } },
];
const pairs = sampleTypes.flatMap((from) =>
  targets.filter((to) => !sameType(from, to) && castValue(from, to)).map((to) => [typeName(from), typeName(to), from, to] as const),
);

test.each(pairs)('%s to %s is what Postgres makes of it', async (source, target, from, to) => {
  const codec = textCodec(from);
  const isText = ['text', 'varchar', 'char'].includes(baseType(from).kind);
  const given = from.kind === 'text' ? fc.oneof(readable, readable, anyValue(from)) : anyValue(from);
  const values = fc.sample(given, { numRuns: 40, seed: 3 }).map((value) => codec.conform(value));
  const rows = await db.sql<{ answer: string }>(
    'select try_cast(v, $2, $3) as answer from unnest($1::text[]) with ordinality as t(v, n) order by n',
    [values.map((value) => codec.print(value)), source, target],
  );
  const work = castValue(from, to)!;
  const mine = values.map((value) => {
    try {
      return textCodec(to).print(work(value));
    } catch (error) {
      expect(error).toMatchObject({ code: 'TYPE_MISMATCH' });
      return '(error)';
    }
  });
  // Postgres guesses at texts that are refused here, and gives NULL for the time of day of infinity.
  const guesses = isText && ['interval', 'macaddr', 'array', 'time', 'timetz', 'timestamp', 'date'].includes(to.kind);
  const answers = rows.map(({ answer }, index) => (answer === '(null)' || (guesses && mine[index] === '(error)') ? '(error)' : answer));
  const told = (texts: string[]) => texts.map((text, index) => `${codec.print(values[index]).slice(0, 80)} -> ${text.slice(0, 100)}`);
  expect(told(mine)).toEqual(told(answers));
});

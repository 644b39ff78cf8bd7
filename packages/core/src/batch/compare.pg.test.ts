import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { anyValue, sampleTypes } from '../../../../test/arbitrary-value.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { baseType, typeName } from '../schema/index.ts';
import { comparer } from './compare.ts';
import { textCodec } from './text-value.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.sql(`create type mood as enum ('sad', 'it''s "fine"', 'ok, {great}')`);
  await db.sql('create domain short as varchar(5)');
});
afterAll(() => db[Symbol.asyncDispose]());

const ordered = sampleTypes.filter((type) => comparer(type));

test.each(ordered.map((type) => [typeName(type), type] as const))('%s is in the order of Postgres', async (name, type) => {
  const codec = textCodec(type);
  const one = anyValue(type).map((value) => codec.conform(value));
  const pairs = fc.sample(
    fc.oneof(
      fc.tuple(one, one),
      one.map((value) => [value, value] as [unknown, unknown]),
    ),
    { numRuns: 300, seed: 5 },
  );
  const collation = ['text', 'varchar', 'char'].includes(baseType(type).kind) ? ' collate "C"' : '';
  const rows = await db.sql<{ sign: number }>(
    `select case when a::${name}${collation} < b::${name}${collation} then -1 when a::${name}${collation} = b::${name}${collation} then 0 else 1 end as sign
     from unnest($1::text[], $2::text[]) with ordinality as t(a, b, n) order by n`,
    [pairs.map(([a]) => codec.print(a)), pairs.map(([, b]) => codec.print(b))],
  );
  const compare = comparer(type)!;
  expect(pairs.map(([a, b]) => Math.sign(compare(a, b)) + 0)).toEqual(rows.map(({ sign }) => sign));
});

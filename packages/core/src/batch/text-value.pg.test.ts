import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { anyValue, sampleTypes } from '../../../../test/arbitrary-value.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { type ColumnType, typeName } from '../schema/index.ts';
import { decodeText, textCodec } from './text-value.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.sql(`create type mood as enum ('sad', 'it''s "fine"', 'ok, {great}')`);
  await db.sql('create domain short as varchar(5)');
});
afterAll(() => db[Symbol.asyncDispose]());

const settings = `set_config('timezone', 'UTC', true) || set_config('datestyle', 'ISO', true) || set_config('intervalstyle', 'iso_8601', true)`;

/** What Postgres prints for what it has read: `format` calls the type's output function, as COPY does. */
async function printedByPostgres(type: ColumnType, texts: string[]): Promise<string[]> {
  const rows = await db.sql<{ printed: string }>(
    `with s as materialized (select ${settings} as done) select format('%s', v::${typeName(type)}) as printed from s, unnest($1::text[]) with ordinality as t(v, n) where done is not null order by n`,
    [texts],
  );
  return rows.map((row) => row.printed);
}

test.each(sampleTypes.map((type) => [typeName(type), type] as const))(
  '%s is printed as Postgres prints it, and comes back the same',
  async (_, type) => {
    const codec = textCodec(type);
    const values = fc.sample(anyValue(type), { numRuns: 200, seed: 20_240_229 }).map((value) => codec.conform(value));
    const texts = values.map((value) => codec.print(value));
    const decode = decodeText(type);
    for (const [index, text] of (await printedByPostgres(type, texts)).entries()) {
      const bytes = Buffer.from(`<${text}>`);
      expect(decode(bytes, 1, bytes.length - 1)).toEqual(values[index]);
      expect(text).toBe(texts[index]);
    }
  },
);

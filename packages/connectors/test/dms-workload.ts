import { bool, bytea, date, float8, int4, int8, numeric, table, text, timestamptz } from '@millrace/core';
import type { Choices, MemoryDatabase, Statement } from '@millrace/core/testing';

export const dmsTables = {
  things: table(
    'public.things',
    {
      id: int8(),
      note: text().orNull(),
      flag: bool().orNull(),
      amount: numeric(12, 2).orNull(),
      at: timestamptz().orNull(),
      day: date().orNull(),
      raw: bytea().orNull(),
      score: float8().orNull(),
    },
    { key: ['id'] },
  ),
  // Names that mean something in mappings, patterns, SQL and CSV.
  pairs: table(`"sh'op"."100% off, ""all"""`, { a: int4(), b: text(), n: int4().orNull() }, { key: ['a', 'b'] }),
} as const;

export const texts = [null, '', 'a', "it's", 'tab\tand\nline', 'comma, "quoted"', '\\N', 'ü€😀', ' NULL ', '|', '\u001a'];
/** For files in which no value can be quoted. */
export const plainTexts = [null, '', 'a', "it's", 'ü€😀', 'b c'];

/** One transaction. `keyChanges`: some rows get other keys, of which DMS tells only where the files have the key before an update. */
export function dmsWork(database: MemoryDatabase, choices: Choices, pool: readonly (string | null)[], keyChanges = false): void {
  database.transaction((run) => {
    for (let left = 1 + choices.below(5); left > 0; left--)
      for (const statement of statements(database, choices, pool, keyChanges)) run(statement);
  });
}

function statements(database: MemoryDatabase, choices: Choices, pool: readonly (string | null)[], keyChanges: boolean): Statement[] {
  const name = choices.one(['things', 'things', 'pairs'] as const);
  const row =
    name === 'things'
      ? {
          id: BigInt(1 + choices.below(6)),
          note: choices.one(pool),
          flag: choices.one([null, true, false]),
          amount: choices.one([null, '0.00', '12.50', '-3.75']),
          at: choices.one([null, '2026-02-03T04:05:06.789000Z', '1969-12-31T23:59:59.000001Z']),
          day: choices.one([null, '2024-02-29']),
          raw: choices.one([null, new Uint8Array(0), Uint8Array.of(0, 255, 92)]),
          score: choices.one([null, 0, 1.5, -1e20]),
        }
      : { a: choices.below(3), b: choices.one(pool.filter((one) => one !== null)), n: choices.one([null, 0, -7]) };
  const key = Object.fromEntries((dmsTables[name].key ?? []).map((column) => [column, row[column as keyof typeof row]]));
  const rows = database.rows(name);
  const isThere = rows.some((one) => Object.entries(key).every(([column, value]) => one[column] === value));
  const another = rows[choices.below(Math.max(1, rows.length))];
  if (!isThere && keyChanges && another && choices.below(2) === 0) {
    const from = Object.fromEntries((dmsTables[name].key ?? []).map((column) => [column, another[column]]));
    return [{ do: 'update', table: name, key: from, set: row }];
  }
  if (!isThere) return [{ do: 'insert', table: name, row }];
  const what = choices.below(4);
  if (what === 0) return [{ do: 'delete', table: name, key }];
  if (what === 1)
    return [
      { do: 'delete', table: name, key },
      { do: 'insert', table: name, row },
    ];
  return [{ do: 'update', table: name, key, set: row }];
}

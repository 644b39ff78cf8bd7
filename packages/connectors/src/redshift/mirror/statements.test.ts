import { int4, int8, jsonb, table, text } from '@millrace/core';
import type { SchemaChange, SchemaPolicy } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { groupOf } from '../../../test/hand-made.ts';
import { mirrorOnRedshift } from './on-redshift.ts';
import { changeStatements, copyStatements, moveStatements, truncateStatement, type Writing } from './round-statements.ts';
import { type Round, Rounds } from './rounds.ts';
import { fillStatements, schemaStatements } from './schema-statements.ts';
import { staged, stagedRows } from './staged-rows.ts';

const orders = table('orders', { id: int8(), note: text().orNull(), total: int4() }, { key: ['id'] });

async function roundsOf(changes: Parameters<typeof groupOf>[1][number]['changes']) {
  const rounds = new Rounds();
  const rows: unknown[][] = [];
  const group = groupOf({ orders }, [{ at: 20, changes }]);
  for await (const part of group.parts) {
    if (part.kind !== 'changes') continue;
    const batch = stagedRows(part, group.transactions, ['id'], rounds);
    for (let row = 0; row < batch.rowCount; row++)
      rows.push(
        batch.vectors.map((vector, place) => (batch.schema.columns[place]!.name === staged.at ? 'at' : vector.get(row))).map(String),
      );
  }
  return { steps: rounds.steps as Round[], rows };
}

const row = (id: number, note: string | null = null) => ({ id: BigInt(id), note, total: id });
const move = (from: number, to: number) =>
  ({ op: 'update', table: 'orders', row: row(to), old: { id: BigInt(from) }, unchanged: ['note'] }) as const;

test('changes are staged in order: rows put and taken away, and pairs of keys before and rows after', async () => {
  const { steps, rows } = await roundsOf([
    { op: 'insert', table: 'orders', row: row(1, 'one') },
    { op: 'update', table: 'orders', row: row(2), unchanged: ['note'] },
    { op: 'update', table: 'orders', row: row(3, 'three'), old: { id: 30n } },
    move(4, 5),
    { op: 'delete', table: 'orders', old: { id: 6n } },
  ]);
  expect(rows).toEqual([
    ['0', 'p', 'null', 'at', '1', 'one', '1'],
    ['1', 'p', '101', 'at', '2', 'null', '2'],
    ['2', 'd', 'null', 'at', '30', 'null', 'null'],
    ['3', 'p', 'null', 'at', '3', 'three', '3'],
    ['4', 'f', 'null', 'at', '4', 'null', 'null'],
    ['5', 't', '101', 'at', '5', 'null', '5'],
    ['6', 'd', 'null', 'at', '6', 'null', 'null'],
  ]);
  expect(steps).toMatchObject([{ from: 0, to: 7, hasChanges: true, hasMoves: true }]);
  expect([...steps[0]!.unknown, ...steps[0]!.unknownOfMoves]).toEqual(['note', 'note']);
});

test('a round ends where a key is touched that one of its moves has touched', async () => {
  const put = (id: number) => ({ op: 'update', table: 'orders', row: row(id) }) as const;
  const bounds = async (...changes: Parameters<typeof roundsOf>[0]) => (await roundsOf(changes)).steps.map(({ from, to }) => [from, to]);
  // All at once: no row of the first three is where another was made.
  expect(await bounds(put(1), move(2, 3), move(4, 2), put(9), move(9, 4))).toEqual([[0, 8]]);
  expect(await bounds(move(1, 2), put(2))).toEqual([
    [0, 2],
    [2, 3],
  ]);
  expect(await bounds(move(1, 2), put(1))).toEqual([
    [0, 2],
    [2, 3],
  ]);
  expect(await bounds(move(1, 2), move(2, 3))).toEqual([
    [0, 2],
    [2, 4],
  ]);
});

const round: Round = {
  kind: 'round',
  table: 'orders',
  staged: '',
  key: ['id'],
  from: 5,
  to: 9,
  hasChanges: true,
  hasMoves: true,
  unknown: new Set(['note']),
  unknownOfMoves: new Set(['note']),
};
const writing: Writing = {
  table: '"public"."orders"',
  landed: '(SELECT * FROM "l")',
  columns: ['id', 'note', 'total'],
  stagedColumns: ['id', 'note', 'total'],
  key: ['id'],
  mode: 'mirror',
};

test('changes that bring all values are a delete and an insert by key', () => {
  const { before, missing, after } = changeStatements({ ...round, unknown: new Set() }, 1, writing);
  expect([...before, missing, ...after]).toMatchInlineSnapshot(`
    [
      "CREATE TEMP TABLE "__millrace_keys_1" AS SELECT s."id", max(s."__millrace_number") AS "__millrace_last", max(CASE WHEN s."__millrace_act" = 'p' THEN s."__millrace_number" END) AS "__millrace_put" FROM (SELECT * FROM "l") AS s WHERE s."__millrace_number" >= 5 AND s."__millrace_number" < 9 AND s."__millrace_act" IN ('p', 'd') GROUP BY s."id"",
      "ANALYZE "__millrace_keys_1"",
      null,
      "DELETE FROM "public"."orders" USING "__millrace_keys_1" AS k WHERE "public"."orders"."id" = k."id"",
      "INSERT INTO "public"."orders" ("id", "note", "total") SELECT s."id", s."note", s."total" FROM "__millrace_keys_1" AS k JOIN (SELECT * FROM "l") AS s ON s."__millrace_number" = k."__millrace_put" WHERE k."__millrace_put" = k."__millrace_last"",
    ]
  `);
});

test('what is not known comes from an earlier change of the round, or from the row that is there', () => {
  const { before, missing, after } = changeStatements(round, 1, writing);
  expect([...before, missing, ...after]).toMatchInlineSnapshot(`
    [
      "CREATE TEMP TABLE "__millrace_keys_1" AS SELECT s."id", max(s."__millrace_number") AS "__millrace_last", max(CASE WHEN s."__millrace_act" = 'p' THEN s."__millrace_number" END) AS "__millrace_put" FROM (SELECT * FROM "l") AS s WHERE s."__millrace_number" >= 5 AND s."__millrace_number" < 9 AND s."__millrace_act" IN ('p', 'd') GROUP BY s."id"",
      "ANALYZE "__millrace_keys_1"",
      "CREATE TEMP TABLE "__millrace_sources_1" AS SELECT k."id", k."__millrace_last", k."__millrace_put", max(CASE WHEN s."__millrace_act" = 'd' AND s."__millrace_number" < k."__millrace_put" THEN s."__millrace_number" END) AS "__millrace_gone", max(CASE WHEN s."__millrace_act" = 'p' AND (s."__millrace_known" IS NULL OR SUBSTRING(s."__millrace_known", 2, 1) = '1') THEN s."__millrace_number" END) AS "__millrace_known_2" FROM "__millrace_keys_1" AS k JOIN (SELECT * FROM "l") AS s ON k."id" = s."id" WHERE s."__millrace_number" >= 5 AND s."__millrace_number" < 9 GROUP BY k."id", k."__millrace_last", k."__millrace_put"",
      "CREATE TEMP TABLE "__millrace_fresh_1" AS SELECT "id", "note", "total", false AS "__millrace_lacks_2", false AS "__millrace_anew" FROM "public"."orders" WHERE false",
      "INSERT INTO "__millrace_fresh_1" ("id", "note", "total", "__millrace_lacks_2", "__millrace_anew") SELECT s."id", u2."note", s."total", CASE WHEN k."__millrace_known_2" > coalesce(k."__millrace_gone", -1) THEN false ELSE true END, k."__millrace_gone" IS NOT NULL FROM "__millrace_sources_1" AS k JOIN (SELECT * FROM "l") AS s ON s."__millrace_number" = k."__millrace_put" LEFT JOIN (SELECT * FROM "l") AS u2 ON u2."__millrace_number" = k."__millrace_known_2" AND k."__millrace_known_2" > coalesce(k."__millrace_gone", -1) WHERE k."__millrace_put" = k."__millrace_last"",
      "UPDATE "__millrace_fresh_1" SET "note" = CASE WHEN "__millrace_fresh_1"."__millrace_lacks_2" THEN t."note" ELSE "__millrace_fresh_1"."note" END FROM "public"."orders" AS t WHERE ("__millrace_fresh_1"."__millrace_lacks_2") AND NOT "__millrace_fresh_1"."__millrace_anew" AND t."id" = "__millrace_fresh_1"."id"",
      "SELECT count(*) AS missing FROM "__millrace_fresh_1" AS f LEFT JOIN "public"."orders" AS t ON t."id" = f."id" WHERE (f."__millrace_lacks_2") AND (f."__millrace_anew" OR t."id" IS NULL)",
      "DELETE FROM "public"."orders" USING "__millrace_keys_1" AS k WHERE "public"."orders"."id" = k."id"",
      "INSERT INTO "public"."orders" ("id", "note", "total") SELECT "id", "note", "total" FROM "__millrace_fresh_1"",
    ]
  `);
});

test('rows that get another key take along what is not known', () => {
  const { before, missing, after } = moveStatements(round, 1, writing);
  expect([...before, missing, ...after]).toMatchInlineSnapshot(`
    [
      "CREATE TEMP TABLE "__millrace_moved_1" AS SELECT "id", "note", "total", false AS "__millrace_lacks_2", "id" AS "__millrace_old_0", CAST(NULL AS timestamptz) AS "__millrace_at" FROM "public"."orders" WHERE false",
      "INSERT INTO "__millrace_moved_1" ("id", "note", "total", "__millrace_lacks_2", "__millrace_old_0", "__millrace_at") SELECT t."id", t."note", t."total", SUBSTRING(t."__millrace_known", 2, 1) = '0', f."id", t."__millrace_at" FROM (SELECT * FROM "l") AS t JOIN (SELECT * FROM "l") AS f ON f."__millrace_number" = t."__millrace_number" - 1 WHERE t."__millrace_act" = 't' AND t."__millrace_number" >= 5 AND t."__millrace_number" < 9",
      "UPDATE "__millrace_moved_1" SET "note" = CASE WHEN "__millrace_moved_1"."__millrace_lacks_2" THEN t."note" ELSE "__millrace_moved_1"."note" END FROM "public"."orders" AS t WHERE ("__millrace_moved_1"."__millrace_lacks_2") AND t."id" = "__millrace_moved_1"."__millrace_old_0"",
      "SELECT count(*) AS missing FROM "__millrace_moved_1" AS f LEFT JOIN "public"."orders" AS t ON t."id" = f."__millrace_old_0" WHERE (f."__millrace_lacks_2") AND (t."id" IS NULL)",
      "DELETE FROM "public"."orders" USING "__millrace_moved_1" AS m WHERE "public"."orders"."id" = m."__millrace_old_0"",
      "DELETE FROM "public"."orders" USING "__millrace_moved_1" AS m WHERE "public"."orders"."id" = m."id"",
      "INSERT INTO "public"."orders" ("id", "note", "total") SELECT "id", "note", "total" FROM "__millrace_moved_1"",
    ]
  `);
});

test('with soft-delete rows are marked', () => {
  const soft = { ...writing, mode: 'soft-delete' } as const;
  expect(changeStatements({ ...round, unknown: new Set() }, 1, soft).after).toMatchInlineSnapshot(`
    [
      "UPDATE "public"."orders" SET "_deleted_at" = d."__millrace_at" FROM "__millrace_keys_1" AS k, (SELECT * FROM "l") AS d WHERE d."__millrace_number" = k."__millrace_last" AND k."__millrace_put" IS NULL AND "public"."orders"."_deleted_at" IS NULL AND "public"."orders"."id" = k."id"",
      "DELETE FROM "public"."orders" USING "__millrace_keys_1" AS k WHERE k."__millrace_put" IS NOT NULL AND "public"."orders"."id" = k."id"",
      "INSERT INTO "public"."orders" ("id", "note", "total", "_deleted_at") SELECT s."id", s."note", s."total", CASE WHEN k."__millrace_put" = k."__millrace_last" THEN NULL ELSE d."__millrace_at" END FROM "__millrace_keys_1" AS k JOIN (SELECT * FROM "l") AS s ON s."__millrace_number" = k."__millrace_put" JOIN (SELECT * FROM "l") AS d ON d."__millrace_number" = k."__millrace_last"",
    ]
  `);
  expect(moveStatements(round, 1, soft).after[0]).toBe(
    'UPDATE "public"."orders" SET "_deleted_at" = m."__millrace_at" FROM "__millrace_moved_1" AS m WHERE "public"."orders"."id" = m."__millrace_old_0"',
  );
  expect(copyStatements(soft, "'2026-01-01'")).toMatchInlineSnapshot(`
    [
      "UPDATE "public"."orders" SET "_deleted_at" = CAST('2026-01-01' AS timestamptz) WHERE "_deleted_at" IS NULL AND NOT EXISTS (SELECT 1 FROM (SELECT * FROM "l") AS s WHERE s."id" = "public"."orders"."id")",
      "DELETE FROM "public"."orders" WHERE EXISTS (SELECT 1 FROM (SELECT * FROM "l") AS s WHERE s."id" = "public"."orders"."id")",
      "INSERT INTO "public"."orders" ("id", "note", "total") SELECT s."id", s."note", s."total" FROM (SELECT * FROM "l") AS s",
    ]
  `);
  expect(truncateStatement('t', 'soft-delete', "'2026-01-01'")).toBe(
    `UPDATE t SET "_deleted_at" = CAST('2026-01-01' AS timestamptz) WHERE "_deleted_at" IS NULL`,
  );
});

test('Redshift gets a column of another type in the place of the old one, and values by way of its landing types', () => {
  const there = new Map([
    ['id', 'bigint'],
    ['total', 'integer'],
  ]);
  const apply = { add: 'apply', drop: 'apply', rename: 'apply', retype: 'apply' } as const;
  const statements = (change: SchemaChange['changes'][number]) => schemaStatements(change, 't', there, apply, mirrorOnRedshift.columns);
  const fills = (change: SchemaChange['changes'][number], later: string | null, policy: SchemaPolicy = apply) =>
    fillStatements(change, 't', there, () => later, policy, mirrorOnRedshift.columns);
  const extra = { name: 'extra', type: jsonb().type, nullable: true };
  const added = `UPDATE t SET "extra" = JSON_PARSE(CAST('{}' AS varchar(65535)))`;
  expect(statements({ change: 'add', column: extra, fill: '{}' })).toEqual(['ALTER TABLE t ADD COLUMN "extra" super', added]);
  there.set('extra', 'super');
  expect(statements({ change: 'add', column: extra, fill: '{}' })).toEqual([]);
  expect(fills({ change: 'add', column: extra, fill: '{}' }, 'extra')).toEqual([added]);
  expect(fills({ change: 'add', column: { ...extra, name: 'early' }, fill: '{}' }, 'extra')).toEqual([added]);
  expect(fills({ change: 'add', column: extra, fill: '{}' }, 'gone')).toEqual([]);
  expect(fills({ change: 'add', column: extra, fill: '{}' }, null)).toEqual([]);
  expect(fills({ change: 'add', column: extra, fill: '{}' }, 'extra', { ...apply, add: 'ignore' })).toEqual([]);
  expect(fills({ change: 'drop', name: 'total' }, null)).toEqual([]);
  const total = { name: 'total', nullable: false };
  const widened = { change: 'retype', name: 'total', from: { ...total, type: int4().type }, to: { ...total, type: int8().type } } as const;
  expect(statements(widened)).toEqual([
    'ALTER TABLE t ADD COLUMN "__millrace_retyped" bigint',
    'UPDATE t SET "__millrace_retyped" = CAST("total" AS bigint)',
    'ALTER TABLE t DROP COLUMN "total"',
    'ALTER TABLE t RENAME COLUMN "__millrace_retyped" TO "total"',
  ]);
  expect(statements({ change: 'drop', name: 'total' })).toEqual(['ALTER TABLE t DROP COLUMN "total"']);
});

import { int4, table, text } from '@millrace/core';
import { isUnchanged, type TableChanges } from '@millrace/core/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { textBatch } from '../../../test/encoded.ts';
import { type Change, groupOf } from '../../../test/hand-made.ts';
import type { Row } from '../../../test/load.ts';
import { type Compacted, compact } from './compact.ts';
import { chunksOf, type Piece, rowCount } from './pieces.ts';

const things = table('things', { id: int4(), part: text(), a: text().orNull(), b: text().orNull() }, { key: ['id', 'part'] });
const key = ['id', 'part'];
const keyText = (row: Row): string => `${String(row['id'])}/${String(row['part'])}`;

const arbitraryStep = fc.record({
  kind: fc.constantFrom('put', 'put', 'put', 'delete', 'move'),
  n: fc.nat(4),
  to: fc.nat(4),
  value: fc.nat(99),
  keeps: fc.subarray(['a', 'b']),
  /** The next change stands in a part of its own. */
  cuts: fc.boolean(),
});
type Step = typeof arbitraryStep extends fc.Arbitrary<infer T> ? T : never;

/** Some rows, what happens to them, and what is there afterwards. */
function happened(steps: readonly Step[]) {
  const keyOf = (n: number) => ({ id: n % 2, part: `p${n >> 1}` });
  const before = new Map([0, 1, 2].map((n) => [n, { ...keyOf(n), a: `old a${n}`, b: null as string | null }]));
  const rows = new Map(before);
  const parts: Change[][] = [[]];
  for (const { kind, n, to, value, keeps, cuts } of steps) {
    const row = rows.get(n);
    const changes = parts.at(-1)!;
    if (cuts && changes.length > 0) parts.push([]);
    const into = parts.at(-1)!;
    if (kind === 'put' && !row) {
      const made = { ...keyOf(n), a: `a${value}`, b: `b${value}` };
      rows.set(n, made);
      into.push({ op: 'insert', table: 'things', row: made });
    } else if (kind === 'put' && row) {
      const next = { ...row, ...(!keeps.includes('a') && { a: `a${value}` }), ...(!keeps.includes('b') && { b: null }) };
      rows.set(n, next);
      into.push({ op: 'update', table: 'things', row: next, unchanged: keeps });
    } else if (kind === 'delete' && row) {
      rows.delete(n);
      into.push({ op: 'delete', table: 'things', old: keyOf(n) });
    } else if (kind === 'move' && row && !rows.has(to)) {
      const next = { ...row, ...keyOf(to) };
      rows.delete(n);
      rows.set(to, next);
      into.push({ op: 'update', table: 'things', row: next, old: keyOf(n), unchanged: keeps });
    }
  }
  const all = (from: ReadonlyMap<number, Row>) => new Map([...from.values()].map((row) => [keyText(row), row]));
  return { before: all(before), after: all(rows), parts: parts.filter((part) => part.length > 0) };
}

async function partsOf(lists: readonly (readonly Change[])[], form: string): Promise<TableChanges[]> {
  const parts: TableChanges[] = [];
  for (const changes of lists) {
    for await (const part of groupOf({ things }, [{ at: 1, changes }]).parts) {
      if (part.kind !== 'changes') continue;
      parts.push(form === 'text' ? { ...part, rows: textBatch(part.rows), old: part.old && textBatch(part.old) } : part);
    }
  }
  return parts;
}

function* rowsOf(pieces: readonly Piece[], without: readonly string[] = []): Generator<Row> {
  for (const { batch, rows } of pieces) {
    for (let at = 0; at < (rows?.length ?? batch.rowCount); at++) {
      const row = rows ? rows[at]! : at;
      yield Object.fromEntries(
        batch.schema.columns.flatMap(({ name }, place) => {
          if (without.includes(name)) return [];
          expect(isUnchanged(batch.vectors[place]!, row), `${name} is not known`).toBe(false);
          return [[name, batch.vectors[place]!.get(row)]];
        }),
      );
    }
  }
}

function applied(before: ReadonlyMap<string, Row>, { deletes, inserts, updates }: Compacted): Map<string, Row> {
  const rows = new Map(before);
  for (const row of rowsOf(deletes, ['a', 'b']))
    expect(rows.delete(keyText(row)), `${keyText(row)} was not there to be deleted`).toBe(true);
  for (const { unknown, pieces } of updates) {
    for (const row of rowsOf(pieces, unknown)) {
      const there = rows.get(keyText(row));
      expect(there, `${keyText(row)} was not there to be updated`).toBeDefined();
      rows.set(keyText(row), { ...there, ...row });
    }
  }
  for (const row of rowsOf(inserts)) {
    expect(rows.has(keyText(row)), `${keyText(row)} was there already`).toBe(false);
    rows.set(keyText(row), row);
  }
  return rows;
}

test.for(['values', 'text'])('deletes, updates and inserts, each key once, come to what the changes came to (%s)', async (form) => {
  let compacted = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryStep, { maxLength: 25 }), async (steps) => {
      const { before, after, parts } = happened(steps);
      const result = compact(await partsOf(parts, form), key);
      if (result === null) return; // part of a row that moved is known to the table alone
      compacted++;
      const found = applied(before, result);
      expect([...found.keys()].sort()).toEqual([...after.keys()].sort());
      for (const [name, row] of after) expect(found.get(name)).toEqual(row);
    }),
    { numRuns: 300 },
  );
  expect(compacted).toBeGreaterThan(150);
});

test('many keys of one hash table are told apart', async () => {
  const changes = Array.from(
    { length: 5_000 },
    (_, n): Change => ({ op: 'update', table: 'things', row: { id: n, part: '', a: 'x', b: null } }),
  );
  const { updates } = compact(await partsOf([changes, changes], 'text'), key)!;
  expect(updates.map(({ pieces }) => rowCount(pieces))).toEqual([5_000]);
  expect([...chunksOf(updates[0]!.pieces, 1_500)].map((pieces) => rowCount(pieces))).toEqual([1_500, 1_500, 1_500, 500]);
});

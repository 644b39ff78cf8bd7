import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isUnchanged, rowsOf } from '../../batch/index.ts';
import type { ChangeGroup, ChangePart, Position } from '../../connector/index.ts';
import { changeGroup } from '../../testing/change-groups.ts';
import { memoryPosition as at, type LoggedTransaction } from '../../testing/memory-database.ts';
import { Choices, seeded, workloadDatabase, workTransaction } from '../../testing/workload.ts';
import { before, trim } from './trim.ts';

/** Changes one by one, each with where it stands. */
async function listed(group: ChangeGroup): Promise<string[]> {
  const found: { ordinal: number; text: string }[] = [];
  const parts: ChangePart[] = [];
  for await (const part of group.parts) parts.push(part);
  for (const part of parts) {
    if (part.kind === 'truncate') {
      for (const table of part.tables) found.push({ ordinal: part.ordinal, text: `${part.transaction} truncate ${table}` });
    } else if (part.kind === 'schema') found.push({ ordinal: part.ordinal, text: `${part.transaction} schema ${part.table}` });
    else {
      const known = {
        ...part.rows,
        vectors: part.rows.vectors.map((vector) => ({
          ...vector,
          type: vector.type,
          length: vector.length,
          isNull: (row: number) => vector.isNull(row),
          get: (row: number) => (isUnchanged(vector, row) ? 'unchanged' : vector.get(row)),
        })),
      };
      for (const [row, values] of rowsOf(known).entries())
        found.push({
          ordinal: part.ordinals[row]!,
          text: `${part.transactions[row]} ${part.table} ${part.kinds[row]} ${part.before[row]} ${JSON.stringify(values, (_, value) => (typeof value === 'bigint' ? String(value) : value))}`,
        });
    }
  }
  return found.sort((a, b) => a.ordinal - b.ordinal || (a.text < b.text ? -1 : 1)).map(({ ordinal, text }) => `${ordinal} ${text}`);
}

const tables = ['orders', 'pairs', 'events'];

test('a sink gets what was committed at its position or later, and of a table what came at its copy or later', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(10_000), fc.nat(40), fc.array(fc.nat(60), { maxLength: 3 }), async (seed, place, copies) => {
      const database = workloadDatabase();
      const choices = new Choices(seeded(seed));
      for (let left = 12; left > 0; left--) workTransaction(database, choices);
      const { log } = database;
      const position = at(100 + place);
      const copied = new Map(copies.map((copy, table) => [tables[table] as string, at(100 + copy)]));
      const shape = { partRows: 1 + (seed % 4) };
      const got = await listed(trim(changeGroup(log, shape), { position, copied }));
      const has = (table: string, commit: Position): boolean => commit < position || commit < (copied.get(table) ?? position);
      const left = log.map((one) => ({
        ...one,
        changes: one.changes.map((change) => {
          if (change.kind === 'truncate') return { ...change, tables: change.tables.filter((table) => !has(table, one.commit)) };
          return has(change.table, one.commit) ? { kind: 'truncate' as const, tables: [] } : change;
        }),
      }));
      expect(got).toEqual(await listed(changeGroup(left, shape)));
    }),
    { numRuns: 60 },
  );
});

test('the boundary: a transaction whose commit stands at the position is new, the one before it is not', async () => {
  const database = workloadDatabase();
  const first = database.commit({ do: 'insert', table: 'pairs', row: { a: 1, b: 'x', n: null } });
  const second = database.commit({ do: 'insert', table: 'pairs', row: { a: 2, b: 'x', n: null } });
  const third = database.commit({ do: 'insert', table: 'pairs', row: { a: 3, b: 'x', n: null } });
  expect(third.commit).toBe(second.end);
  const got = async (position: Position, copied: ReadonlyMap<string, Position> = new Map()) =>
    (await listed(trim(changeGroup(database.log), { position, copied }))).length;
  expect(await got(first.commit)).toBe(3);
  expect(await got(first.end)).toBe(2);
  expect(await got(second.end)).toBe(1);
  expect(await got(third.end)).toBe(0);
  expect(await got(first.commit, new Map([['pairs', second.end]]))).toBe(1);
  expect(await got(first.commit, new Map([['orders', third.end]]))).toBe(3);
});

test('before: one table only, and what was committed before the end', async () => {
  const database = workloadDatabase();
  const choices = new Choices(seeded(5));
  for (let left = 20; left > 0; left--) workTransaction(database, choices);
  for (const { commit, end } of database.log) {
    for (const bound of [commit, end, undefined]) {
      const got = await listed(before(changeGroup(database.log), 'orders', bound));
      const left: LoggedTransaction[] = database.log.map((one) => ({
        ...one,
        changes: one.changes.map((change) => {
          const isIn = bound === undefined || one.commit < bound;
          if (change.kind === 'truncate') return { ...change, tables: isIn ? change.tables.filter((table) => table === 'orders') : [] };
          return isIn && change.table === 'orders' ? change : { kind: 'truncate' as const, tables: [] };
        }),
      }));
      expect(got).toEqual(await listed(changeGroup(left)));
    }
  }
});

test('what needs no trimming is the group itself', () => {
  const database = workloadDatabase();
  database.commit({ do: 'insert', table: 'pairs', row: { a: 1, b: 'x', n: null } });
  const group = changeGroup(database.log);
  expect(trim(group, { position: database.log[0]!.commit, copied: new Map() })).toBe(group);
});

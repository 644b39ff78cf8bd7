import { int4, table, text } from '@millrace/core';
import { isUnchanged, type TableChanges } from '@millrace/core/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Change, groupOf } from '../../../test/hand-made.ts';
import { halved } from './halved.ts';
import type { TableParts } from './write-mirror.ts';

const tables = Object.fromEntries(
  ['a', 'b'].map((name) => [name, table(name, { id: int4(), note: text().orNull(), doc: text().orNull() }, { key: ['id'] })]),
);

const arbitraryChange = fc.record({ op: fc.constantFrom('insert', 'update', 'delete'), table: fc.constantFrom('a', 'b'), id: fc.nat(9) });
const arbitraryGroup = fc.array(fc.array(arbitraryChange, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 9 });

/** The tables' changes, those of each in so many parts. */
async function partsOf(group: readonly (readonly Change[])[], cut: number): Promise<TableParts[]> {
  const parts: TableChanges[] = [];
  for (let from = 0; from < group.length; from += cut) {
    const { parts: some } = groupOf(
      tables,
      group.map((changes, at) => ({ at, changes: at >= from && at < from + cut ? changes : [] })),
    );
    for await (const part of some) if (part.kind === 'changes') parts.push(part);
  }
  return Object.keys(tables).flatMap((name) => {
    const own = parts.filter(({ table }) => table === name);
    return own.length > 0 ? [{ target: { table: name } as TableParts['target'], columns: [], parts: own }] : [];
  });
}

const shown = (all: readonly TableParts[]): string[] =>
  all.flatMap(({ target, parts }) =>
    parts.flatMap(({ kinds, transactions, before, rows, old }) =>
      Array.from(kinds, (kind, row) =>
        JSON.stringify({
          table: target.table,
          kind,
          transaction: transactions[row],
          before: before[row],
          values: rows.vectors.map((vector) => (isUnchanged(vector, row) ? 'unchanged' : vector.get(row))),
          old: old?.vectors.map((vector) => vector.get(row)) ?? null,
        }),
      ),
    ),
  );
const transactionsOf = (all: readonly TableParts[]): number[] =>
  all.flatMap(({ parts }) => parts.flatMap(({ transactions }) => [...transactions]));

test('the earlier transactions and the later ones, each change in one of them, as it was', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryGroup, fc.integer({ min: 1, max: 9 }), async (group, cut) => {
      const changes = group.map((one) =>
        one.map(({ op, table, id }, at): Change => {
          const row = { id, note: `note ${at}`, doc: 'doc' };
          if (op === 'insert') return { op, table, row };
          return op === 'delete' ? { op, table, old: { id } } : { op: 'update', table, row, old: { id: -id }, unchanged: ['doc'] };
        }),
      );
      const all = await partsOf(changes, cut);
      const halves = halved(all);
      expect(halves === null).toBe(group.length === 1);
      if (halves === null) return;
      const [earlier, later] = halves;
      expect([...shown(earlier), ...shown(later)].sort()).toEqual(shown(all).sort());
      expect(Math.max(...transactionsOf(earlier))).toBeLessThan(Math.min(...transactionsOf(later)));
      for (const { parts } of [...earlier, ...later])
        expect(parts.every(({ rows, kinds }) => rows.rowCount === kinds.length && kinds.length > 0)).toBe(true);
    }),
  );
});

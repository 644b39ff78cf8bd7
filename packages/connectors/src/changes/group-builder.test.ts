import { type ChangeGroup, changeKinds, type Position, positionOf, type SourceTransaction } from '@millrace/core/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tableShape } from '../postgres/capture/table-shape.ts';
import { GroupBuilder } from './group-builder.ts';
import { columnKinds, Tuple } from './tuple.ts';

const shapes = ['a', 'b'].map((table) =>
  tableShape({
    table,
    key: ['id'],
    columns: [
      { column: { name: 'id', type: { kind: 'text' }, nullable: false }, from: { kind: 'text' }, source: 0 },
      { column: { name: 'body', type: { kind: 'text' }, nullable: true }, from: { kind: 'text' }, source: 1 },
    ],
    sources: [true, false],
    binary: false,
  }),
);

/** `undefined` is an unchanged value. */
function tuple(...values: (string | null | undefined)[]): Tuple {
  const made = new Tuple();
  const bytes: Buffer[] = [];
  let at = 7;
  for (const [column, value] of values.entries()) {
    made.kinds[column] = value === null ? columnKinds.null : value === undefined ? columnKinds.unchanged : columnKinds.text;
    made.starts[column] = at;
    made.lengths[column] = value ? Buffer.byteLength(value) : 0;
    if (value) bytes.push(Buffer.from(value));
    at += made.lengths[column] ?? 0;
  }
  made.bytes = Buffer.concat([Buffer.alloc(7), ...bytes, Buffer.alloc(3)]);
  made.columns = values.length;
  return made;
}

type Change = { readonly table: 0 | 1; readonly op: 'insert' | 'update' | 'delete' | 'truncate'; readonly long: boolean };
type Step = { readonly changes: readonly Change[]; readonly closeAt: number; readonly aborts: boolean };

const change: fc.Arbitrary<Change> = fc.record({
  table: fc.constantFrom(0 as const, 1 as const),
  op: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom('insert' as const, 'update' as const, 'delete' as const) },
    { weight: 1, arbitrary: fc.constant('truncate' as const) },
  ),
  long: fc.boolean(),
});
const step: fc.Arbitrary<Step> = fc.record({
  changes: fc.array(change, { maxLength: 40 }),
  closeAt: fc.integer({ min: -10, max: 45 }),
  aborts: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

async function flat(group: ChangeGroup): Promise<{ ordinal: number; tx: SourceTransaction | undefined; text: string }[]> {
  const seen: { ordinal: number; tx: SourceTransaction | undefined; text: string }[] = [];
  for await (const part of group.parts) {
    if (part.kind === 'schema') throw new Error('schema');
    if (part.kind === 'truncate')
      seen.push({ ordinal: part.ordinal, tx: group.transactions[part.transaction], text: `truncate ${part.tables}` });
    else {
      const [id, body] = part.rows.vectors;
      for (let at = 0; at < part.rows.rowCount; at++) {
        let value: unknown = 'unchanged';
        try {
          value = body?.get(at);
        } catch {}
        const old = part.before[at] ? ` was ${part.old?.vectors[0]?.get(at)}` : '';
        seen.push({
          ordinal: part.ordinals[at] ?? -1,
          tx: group.transactions[part.transactions[at] ?? -1],
          text: `${part.table} ${part.kinds[at]} ${id?.get(at)} ${value}${old}`,
        });
      }
    }
  }
  return seen.sort((x, y) => x.ordinal - y.ordinal);
}

test('however transactions come, are taken back and are asked for, groups hold them whole, in order, every change once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const groups: ChangeGroup[] = [];
      let held = 0;
      const builder = new GroupBuilder({
        limits: { rows: 25, bytes: 4_000, large: 8_000, part: 1_500 },
        onGroup: (group, bytes) => {
          groups.push(group);
          held -= bytes;
        },
        onBytes: (bytes) => {
          held += bytes;
        },
      });
      const expected: { commit: string; text: string; ordinal: number }[] = [];
      const ends: Position[] = [];
      for (const [number, { changes, closeAt, aborts }] of steps.entries()) {
        const before = { expected: expected.length, held };
        const commit = positionOf(`P${String(number * 10).padStart(5, '0')}`);
        builder.begin({ commit, committedAt: '', xid: String(number) });
        if (closeAt === -1) builder.closeGroup();
        for (const [at, { table, op, long }] of changes.entries()) {
          if (at === closeAt) builder.closeGroup();
          const id = `${number}.${at}`;
          const body = long ? 'x'.repeat(300) : at % 3 === 0 ? null : 'y';
          const shape = shapes[table] as (typeof shapes)[0];
          const text =
            op === 'truncate'
              ? `truncate ${shape.table}`
              : op === 'insert'
                ? `${shape.table} 1 ${id} ${body}`
                : op === 'update'
                  ? `${shape.table} 2 ${id} unchanged was k${id}`
                  : `${shape.table} 3 ${id} null was ${id}`;
          if (op === 'truncate') builder.truncate([shape.table]);
          else if (op === 'insert') builder.change(shape, changeKinds.insert, tuple(id, body), null, null);
          else if (op === 'update') builder.change(shape, changeKinds.update, tuple(id, undefined), tuple(`k${id}`, null), 'key');
          else builder.change(shape, changeKinds.delete, null, tuple(id, null), 'key');
          expected.push({ commit, text, ordinal: at });
        }
        const end = positionOf(`P${String(number * 10 + 5).padStart(5, '0')}`);
        // Of a large one a part is out: it cannot be taken back.
        if (aborts && builder.abort()) {
          expected.length = before.expected;
          if (groups.length === 0) expect(held).toBe(before.held);
          continue;
        }
        ends.push(end);
        builder.commit(end);
        if (closeAt > 40) builder.closeGroup();
      }
      builder.closeGroup();
      const seen: typeof expected = [];
      let last = '';
      for (const group of groups) {
        const rows = await flat(group);
        expect(rows.map(({ ordinal }) => ordinal)).toEqual(rows.map((_, at) => at));
        expect(new Set(rows.map(({ tx }) => tx)).size).toBe(group.transactions.length);
        if (group.size) expect(group.size.rows).toBe(rows.filter(({ text }) => !text.startsWith('truncate')).length);
        else expect(group.transactions).toHaveLength(1);
        for (const { tx, text, ordinal } of rows) seen.push({ commit: tx?.commit ?? '', text, ordinal: ordinal - (tx?.firstOrdinal ?? 0) });
        expect(ends).toContain(group.position());
        expect(group.position() > last && group.position() > (group.transactions.at(-1)?.commit ?? '')).toBe(true);
        last = group.position();
      }
      expect(seen).toEqual(expected);
      expect(held).toBe(0);
    }),
    { numRuns: 150 },
  );
});

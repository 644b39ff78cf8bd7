import { createHash } from 'node:crypto';
import { bytea, char, date, float8, int4, int8, numeric, type RowOf, type Step, secret, table, text, timestamptz } from '@millrace/core';
import { describe, expect, test } from 'vitest';
import { encodedBatches, given, runTransform } from '../../../test/run-transform.ts';
import { cast, dedupe, filter, hash, map, mapBatches, mask, redact, rename, select, tokenize, truncate } from './index.ts';

const orders = table(
  'public.orders',
  { id: int8(), total: numeric(12, 2), currency: text(), note: text().orNull(), placed: timestamptz(), code: char(3) },
  { key: ['id'] },
);
type Order = RowOf<typeof orders>;
const order = (n: number): Order => ({
  id: BigInt(n),
  total: `${n}.50`,
  currency: n % 2 ? 'EUR' : 'USD',
  note: n % 3 ? `note ${n}` : null,
  placed: `2024-02-${String((n % 28) + 1).padStart(2, '0')}T10:00:00.000000Z`,
  code: 'ab ',
});
const twelve = Array.from({ length: 12 }, (_, n) => order(n + 1));
const rows = given<Order>(orders);
const run = (step: Step, given: readonly object[] = twelve) => runTransform(step, { a: encodedBatches(orders, given as never, 5) });
const quarantine = { quarantine: null as never };

describe('map', () => {
  const facts = table('facts', { order_id: int8(), total: numeric(12, 2), day: date() }, { key: ['order_id'] });
  const toFact = (o: Order) => ({ order_id: o.id, total: o.total, day: o.placed.slice(0, 10) });

  test('makes rows of the target table, leaves out null and multiplies arrays', async () => {
    const step = map(rows, { to: facts, row: (o) => (o.id === 1n ? null : o.id === 2n ? [toFact(o), toFact(o)] : toFact(o)) });
    expect(step.schema).toEqual({ columns: facts.columns, key: ['order_id'] });
    const out = await run(step);
    expect(out.rows).toEqual([order(2), order(2), ...twelve.slice(2)].map(toFact));
    expect(out.batches.map(({ vectors }) => vectors.map((vector) => vector.encoded !== undefined))).toEqual([
      [true, true, false],
      [true, true, false],
      [true, true, false],
    ]);
  });

  test('sets rows aside for which the function throws or whose result does not fit, with their place and what they were', async () => {
    const step = map(rows, {
      to: facts,
      onBadRow: quarantine,
      row: (o) => {
        if (o.id === 3n) throw new Error('no rate');
        return o.id === 7n ? { ...toFact(o), total: '1.005' } : toFact(o);
      },
    });
    const out = await run(step);
    expect(out.rows).toHaveLength(10);
    expect(out.rejected.map(({ split, ordinal, error }) => [split, ordinal, error.message])).toEqual([
      ['a', 2, 'no rate'],
      ['a', 6, expect.stringContaining('Column "total": "1.005" does not fit numeric(12,2): it has more than 2 decimals')],
    ]);
    expect(JSON.parse(out.rejected[0]!.row)).toEqual({ ...order(3), id: '3' });
  });

  test.each([
    ['nothing', undefined, 'returned undefined, which is no row'],
    ['a number', 5, 'returned 5, which is no row'],
    ['a promise', () => Promise.reject(new Error('late')), 'returned a Promise'],
    ['a column too many', { ...toFact(order(1)), extra: 1 }, 'has "extra", which the target has no column for'],
    ['a column too few', { order_id: 1n, total: '1.00' }, 'Column "day": the row has no such property'],
    ['a Date', { ...toFact(order(1)), day: new Date(0) as never }, 'a Date holds milliseconds'],
  ])('refuses a function that returns %s', async (_, result, message) => {
    await expect(run(map(rows, { to: facts, row: () => (typeof result === 'function' ? result() : result) as never }))).rejects.toThrow(
      message,
    );
  });
});

describe('mapBatches', () => {
  const priced = table('priced', { id: int8(), total: numeric(12, 2), cents: int8(), score: float8().orNull() });

  test('works on whole columns and keeps the bytes of those it leaves alone', async () => {
    const step = mapBatches(rows, {
      to: priced,
      batch: async (batch) => {
        const ids = batch.column('id').typed().values as BigInt64Array;
        const cents = batch
          .column('total')
          .values()
          .map((total) => BigInt(total.replace('.', '')));
        return batch.with({ cents, score: Float64Array.from(ids, Number) }).take([0, 2]);
      },
    });
    const out = await run(step, twelve.slice(0, 10));
    expect(out.rows.slice(0, 2)).toEqual([
      { id: 1n, total: '1.50', cents: 150n, score: 1 },
      { id: 3n, total: '3.50', cents: 350n, score: 3 },
    ]);
    expect(out.batches[0]!.vectors.map(({ encoded }) => encoded !== undefined)).toEqual([true, true, false, false]);
  });

  test('sets rows aside that do not fit, by their place in the input', async () => {
    const step = mapBatches(rows, {
      to: priced,
      onBadRow: quarantine,
      batch: (batch) =>
        batch
          .with({
            cents: batch
              .column('id')
              .values()
              .map((id) => (id === 4n ? (null as never) : id)),
            score: Array(batch.rowCount).fill(null),
          })
          .take([4, 3, 0].slice(-batch.rowCount)),
    });
    const out = await runTransform(step, { a: encodedBatches(orders, twelve.slice(0, 5) as never, 5) });
    expect(out.rows.map(({ id }) => id)).toEqual([5n, 1n]);
    expect(out.rejected.map(({ ordinal }) => ordinal)).toEqual([3]);
  });

  test.each([
    ['no batch', () => 5, 'returned 5, which is no batch'],
    ['a batch without a column', (b: never) => b, 'lacks "cents"'],
    [
      'a column of another length',
      (b: { with(c: object): unknown }) => b.with({ cents: [1n] }),
      '"cents" has 1 values and the batch has 5 rows',
    ],
  ])('refuses a function that returns %s', async (_, batch, message) => {
    await expect(run(mapBatches(rows, { to: priced, batch: batch as never }))).rejects.toThrow(message);
  });
});

describe('filter', () => {
  const ids = async (step: Step) => (await run(step)).rows.map(({ id }) => Number(id));

  test.each([
    [[['total', '>', '9.5']], [10, 11, 12]],
    [[['total', '>=', 9.5]], [9, 10, 11, 12]],
    [[['total', '=', '1.500']], [1]],
    [
      [
        ['currency', 'in', ['EUR']],
        ['id', '<=', 3],
      ],
      [1, 3],
    ],
    [
      [
        ['currency', 'not in', ['EUR']],
        ['id', '<', '5'],
      ],
      [2, 4],
    ],
    [[['note', 'null']], [3, 6, 9, 12]],
    [
      [
        ['note', 'not null'],
        ['id', '<', 3],
      ],
      [1, 2],
    ],
    [
      [
        ['note', '<>', 'note 1'],
        ['id', '<', 4],
      ],
      [2],
    ],
    [[['placed', '<', '2024-02-03T12:00:00+02:00']], [1]],
    [
      [
        ['code', '=', 'ab'],
        ['id', '=', '7'],
      ],
      [7],
    ],
  ] as const)('%j keeps %j', async (conditions, kept) => expect(await ids(filter(rows, conditions as never))).toEqual(kept));

  test('by conditions can be said in SQL, with values as Postgres prints them', () => {
    const { work } = filter(rows, [
      ['placed', '<', '2024-02-03T12:00:00+02:00'],
      ['id', '>', 5n],
      ['total', 'in', ['1', 2]],
    ]);
    expect(work.kind === 'transform' && work.transform.relational).toEqual({
      op: 'filter',
      where: [
        { column: 'placed', is: '<', value: '2024-02-03 10:00:00+00' },
        { column: 'id', is: '>', value: '5' },
        { column: 'total', is: 'in', value: ['1', '2'] },
      ],
    });
  });

  test('by a function keeps rows without touching their bytes, and refuses an answer that is none', async () => {
    const out = await run(filter(rows, (o) => o.note === null));
    expect(out.rows.map(({ id }) => id)).toEqual([3n, 6n, 9n, 12n]);
    expect(out.batches.every(({ vectors }) => vectors.every(({ encoded }) => encoded))).toBe(true);
    await expect(run(filter(rows, (async () => true) as never))).rejects.toThrow('returned a Promise, which is neither true nor false');
    await expect(run(filter(rows, ((o: Order) => o.note) as never))).rejects.toThrow('returned "note 1", which is neither true nor false');
  });

  test.each([
    [['nope', '=', 1], 'there is no column "nope"'],
    [['id', '~', 1], '"~" is not a comparison'],
    [['id', '=', 'x'], '"x" does not fit int8'],
    [['id', 'in', 5], 'needs a list'],
    [['id', '=', [5]], 'needs one value'],
  ])('%j does not compile', (condition, message) => {
    expect(() => filter(rows, [condition as never])).toThrow(
      expect.objectContaining({ code: 'PIPELINE_INVALID', message: expect.stringContaining(message) }),
    );
  });
});

describe('select, rename, cast, dedupe', () => {
  test('select keeps columns in the order named', async () => {
    const step = select(rows, ['note', 'id']);
    expect(step.schema).toEqual({ columns: [orders.columns[3], orders.columns[0]], key: ['id'] });
    expect((await run(step)).rows[0]).toEqual({ note: 'note 1', id: 1n });
    expect(select(rows, ['note']).schema).not.toHaveProperty('key');
    expect(() => select(rows, ['id', 'id'])).toThrow('named twice');
  });

  test('rename gives other names, also to the key', async () => {
    const step = rename(rows, { id: 'order_id', note: 'remark' });
    expect(step.schema?.key).toEqual(['order_id']);
    expect(Object.keys((await run(step)).rows[0]!)).toEqual(['order_id', 'total', 'currency', 'remark', 'placed', 'code']);
    expect(() => rename(rows, { id: 'total' })).toThrow('two columns would be called "total"');
  });

  test('cast changes types by name, and says which row it cannot', async () => {
    const step = cast(rows, { id: int4(), total: int4(), placed: date(), currency: text() });
    expect((await run(step)).rows[0]).toEqual({ ...order(1), id: 1, total: 2, placed: '2024-02-02' });
    const bad = [
      { ...order(1), note: '12' },
      { ...order(2), note: 'x' },
      { ...order(3), note: null },
    ];
    const failing = await run(cast(rows, { note: int4() }, { onBadRow: quarantine }), bad);
    expect(failing.rows.map(({ note }) => note)).toEqual([12, null]);
    expect(failing.rejected).toMatchObject([
      {
        split: 'a',
        ordinal: 1,
        error: { code: 'TYPE_MISMATCH', message: expect.stringContaining('Column "note": "x" does not fit int4') },
      },
    ]);
    await expect(run(cast(rows, { note: int4() }), bad)).rejects.toThrow('Column "note"');
    const lenient = cast(rows, { note: int4() }, { onError: 'null' });
    expect((await run(lenient, bad)).rows.map(({ note }) => note)).toEqual([12, null, null]);
    expect(() => cast(rows, { placed: bytea() })).toThrow('there is no cast to bytea');
  });

  test('dedupe is for the source to do', async () => {
    const step = dedupe(rows, { key: ['id'], by: 'placed' });
    expect(step.work).toMatchObject({
      transform: { wholeInput: true, relational: { op: 'dedupe', key: ['id'], by: 'placed', keep: 'greatest' } },
    });
    await expect(run(step)).rejects.toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
  });
});

describe('mask', () => {
  const salt = secret('PII_SALT');
  const digest = (value: string) => createHash('sha256').update(`value of PII_SALT${value}`).digest('hex');

  test('hides values, keeps NULL, and works on the text of any type', async () => {
    const step = mask(rows, {
      id: tokenize({ salt, prefix: 'o_', keepLast: 1 }),
      total: hash({ salt }),
      currency: redact(),
      note: truncate(3),
      placed: hash({ salt }),
      code: redact({ with: null }),
    });
    expect(step.schema?.columns.map(({ type, nullable }) => [type.kind, nullable])).toEqual([
      ['text', false],
      ['text', false],
      ['text', false],
      ['text', true],
      ['text', false],
      ['text', true],
    ]);
    const out = await run(step);
    expect(out.rows[2]).toEqual({
      id: `o_${digest('3').slice(0, 32)}3`,
      total: digest('3.50'),
      currency: '[redacted]',
      note: null,
      placed: digest('2024-02-04 10:00:00+00'),
      code: null,
    });
    expect(out.rows[0]!['note']).toBe('not');
  });

  test('counts characters, not halves of them', async () => {
    const out = await run(mask(rows, { note: truncate(2), currency: tokenize({ salt, keepLast: 2 }) }), [
      { ...order(1), note: '😀é!', currency: 'a😀é' },
    ]);
    expect(out.rows[0]).toMatchObject({ note: '😀é', currency: expect.stringMatching(/^[0-9a-f]{32}😀é$/) });
  });

  test('names its salt in the plan and never shows it', () => {
    const { work } = mask(rows, { note: hash({ salt }) });
    expect(JSON.stringify(work)).toContain('PII_SALT');
    expect(() => hash({ salt: 'pepper' as never })).toThrow('the salt is not a secret');
  });
});

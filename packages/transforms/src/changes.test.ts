import { createHash } from 'node:crypto';
import { int4, int8, numeric, type Step, secret, table, text } from '@millrace/core';
import {
  Choices,
  MemoryDatabase,
  type MemoryMirror,
  type MemoryRow,
  memoryMirror,
  mirrorState,
  plainState,
  type StreamWorldOptions,
  seeded,
  streamWorld,
  workloadDatabase,
  workloadTables,
  workTransaction,
} from '@millrace/core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { filter, hash, map, mask, redact, rename, select, tokenize } from './index.ts';

const { orders, pairs, events } = workloadTables;
type Changes = Step<
  { readonly orders: Row<typeof orders>; readonly pairs: Row<typeof pairs>; readonly events: Row<typeof events> },
  'changes'
>;
type Row<T> = import('@millrace/core').RowOf<T>;

interface Given {
  readonly through: (changes: Changes) => Readonly<Record<string, Step>>;
  readonly database?: MemoryDatabase;
  readonly mirror?: MemoryMirror;
  /** With a filter on the way deletes come for rows that were never there. */
  readonly strict?: boolean;
  readonly source?: StreamWorldOptions['source'];
}

function worldOf({ through, database = workloadDatabase(), mirror = memoryMirror(), strict = true, source }: Given) {
  const world = streamWorld({
    database,
    tables: workloadTables,
    sinks: { mirrored: { mirror, strict } },
    through: through as unknown as NonNullable<StreamWorldOptions['through']>,
    ...(source && { source }),
  });
  return { world, database, mirror };
}

type View = (state: Readonly<Record<string, readonly MemoryRow[]>>) => Record<string, readonly MemoryRow[]>;

/** Whatever happens at the source, the target has what the steps make of its rows: first copies and changes alike. */
async function mirrors(through: Given['through'], view: View, { strict = true, toasts = true } = {}): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.nat(100_000), fc.array(fc.nat(12), { minLength: 1, maxLength: 5 }), async (seed, rounds) => {
      const choices = new Choices(seeded(seed));
      const database = toasts ? workloadDatabase() : new MemoryDatabase(workloadTables);
      const source = { cut: () => 1 + choices.below(4), partRows: () => 1 + choices.below(5), giant: 5 };
      const { world, mirror } = worldOf({ through, database, strict, source });
      for (const transactions of rounds) {
        for (let left = transactions; left > 0; left--) workTransaction(database, choices);
        await world.catchUp();
        expect(sorted(plainState(mirrorState(mirror)))).toEqual(sorted(view(plainState(database.stateAt(database.end)))));
      }
    }),
    { numRuns: 25 },
  );
}

const printed = (value: unknown): string => JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? `${one}n` : one));
const sorted = (state: Readonly<Record<string, readonly MemoryRow[]>>): unknown =>
  Object.fromEntries(Object.entries(state).map(([name, rows]) => [name, [...rows].sort((a, b) => (printed(a) < printed(b) ? -1 : 1))]));
/** What a hash makes of a value, where its salt's secret is its name. */
const hashed = (value: unknown): string | null => (value === null ? null : createHash('sha256').update(`S${value}`).digest('hex'));
const salt = secret('S');

describe('the target has what the steps make of the source', () => {
  test('mask, also of keys, and of values that are not sent', async () => {
    await mirrors(
      (changes) => ({
        masked: mask(changes, { orders: { id: hash({ salt }), body: hash({ salt }), note: redact() }, pairs: { b: tokenize({ salt }) } }),
      }),
      ({ orders = [], pairs = [], events = [] }) => ({
        orders: orders.map((row) => ({
          ...row,
          id: hashed(row['id']),
          body: hashed(row['body']),
          note: row['note'] === null ? null : '[redacted]',
        })),
        pairs: pairs.map((row) => ({ ...row, b: hashed(row['b'])?.slice(0, 32) })),
        events,
      }),
    );
  });

  test('select and rename, keys included', async () => {
    await mirrors(
      (changes) => {
        const some = select(changes, { orders: ['body', 'id'] });
        return { some, renamed: rename(some, { orders: { id: 'order_id', body: 'text' }, pairs: { a: 'b2' } }) };
      },
      ({ orders = [], pairs = [], events = [] }) => ({
        orders: orders.map(({ id, body }) => ({ text: body, order_id: id })),
        pairs: pairs.map(({ a, b, n }) => ({ b2: a, b, n })),
        events,
      }),
    );
  });

  test('map: values that are not sent go on as they are, rows that become nothing are not there', async () => {
    const fact = table('fact', { id: int8(), body: text().orNull(), size: int4() }, { key: ['id'] });
    await mirrors(
      (changes) => ({
        mapped: map(changes, {
          orders: { to: fact, row: ({ note, amount, ...rest }) => ({ ...rest, size: (note ?? '').length + (amount ?? '').length }) },
        }),
      }),
      ({ orders = [], pairs = [], events = [] }) => ({
        orders: orders.map(({ id, body, note, amount }) => ({ id, body, size: String(note ?? '').length + String(amount ?? '').length })),
        pairs,
        events,
      }),
    );
    await mirrors(
      (changes) => ({
        mapped: map(changes, {
          events: {
            to: table('what', { id: int4(), what: text() }, { key: ['id'] }),
            row: ({ id, what }) => (what === null ? null : { id, what }),
          },
        }),
      }),
      ({ orders = [], pairs = [], events = [] }) => ({
        orders,
        pairs,
        events: events.flatMap(({ id, what }) => (what === null ? [] : [{ id, what }])),
      }),
      { strict: false },
    );
  });

  test('filter: rows come and go as they change', async () => {
    await mirrors(
      (changes) => ({
        filtered: filter(changes, {
          orders: [['amount', '>', '0']],
          pairs: ({ n, a }) => n === null || n > a,
          events: [['what', 'not null']],
        }),
      }),
      ({ orders = [], pairs = [], events = [] }) => ({
        orders: orders.filter(({ amount }) => amount !== null && Number(amount) > 0),
        pairs: pairs.filter(({ n, a }) => n === null || Number(n) > Number(a)),
        events: events.filter(({ what }) => what !== null),
      }),
      { strict: false, toasts: false },
    );
  });

  test('all of them, one after the other', async () => {
    const short = table('short', { key: int4(), what: text(), body: text().orNull() }, { key: ['key'] });
    await mirrors(
      (changes) => {
        const filtered = filter(changes, { events: ({ what }) => what !== 'a' });
        const renamed = rename(filtered, { events: { id: 'key' } });
        const mapped = map(renamed, { events: { to: short, row: (row) => ({ ...row, what: row.what ?? 'nothing' }) } });
        return { filtered, renamed, mapped, masked: mask(mapped, { events: { key: hash({ salt }), what: hash({ salt }) } }) };
      },
      ({ orders = [], pairs = [], events = [] }) => ({
        orders,
        pairs,
        events: events
          .filter(({ what }) => what !== 'a')
          .map(({ id, what, body }) => ({ key: hashed(id), what: hashed(what ?? 'nothing'), body })),
      }),
      { strict: false },
    );
  });
});

describe('values that an update left as they were', () => {
  const insert = { do: 'insert', table: 'orders', row: { id: 1n, note: 'n', body: 'long', amount: '1.00' } } as const;
  const update = { do: 'update', table: 'orders', key: { id: 1n }, set: { note: 'other' } } as const;

  test.for([
    [
      'a function that reads one',
      (changes: Changes) =>
        map(changes, { orders: { to: orders, row: (row) => ({ ...row, note: row.body === null ? row.note : `${row.note}` }) } }),
    ],
    ['a filter by one', (changes: Changes) => filter(changes, { orders: [['body', 'not null']] })],
    ['a function that filters by one', (changes: Changes) => filter(changes, { orders: ({ body }) => body !== null })],
  ] as const)('%s stops the stream, and says where', async ([, step]) => {
    const { world, database, mirror } = worldOf({ through: (changes) => ({ step: step(changes) as Step }) });
    await world.catchUp();
    database.commit(insert);
    await world.catchUp();
    database.commit(update);
    await expect(world.catchUp()).rejects.toMatchObject({
      code: 'CHANGE_INCOMPLETE',
      message: expect.stringMatching(/Step "step", split orders, transaction 701 at \d+: .*"body"/),
      remedy: expect.stringContaining('REPLICA IDENTITY FULL'),
    });
    expect(plainState(mirrorState(mirror))['orders']).toEqual([insert.row]);
  });

  test('a row that comes into a filter without one is refused, since nobody knows it', async () => {
    const { world, database } = worldOf({
      through: (changes) => ({ step: filter(changes, { orders: [['note', '=', 'in']] }) }),
      strict: false,
    });
    await world.catchUp();
    database.commit(insert);
    database.commit({ ...update, set: { note: 'in' } });
    await expect(world.catchUp()).rejects.toMatchObject({ code: 'CHANGE_INCOMPLETE' });
  });

  test('a row that leaves a filter and comes back in the same group does not get its old value', async () => {
    const { world, database } = worldOf({
      through: (changes) => ({ step: filter(changes, { orders: [['note', '=', 'in']] }) }),
      strict: false,
    });
    await world.catchUp();
    database.commit({ ...insert, row: { ...insert.row, note: 'in' } });
    await world.catchUp();
    database.commit({ ...update, set: { note: 'out', body: 'changed while out' } }, { ...update, set: { note: 'in' } });
    await expect(world.catchUp()).rejects.toMatchObject({ code: 'CHANGE_INCOMPLETE' });
  });
});

describe('keys', () => {
  test('a function that changes the key stops the stream', async () => {
    const { world, database } = worldOf({
      through: (changes) => ({ mapped: map(changes, { orders: { to: orders, row: (row) => ({ ...row, id: row.id + 1n }) } }) }),
    });
    await world.catchUp();
    database.commit({ do: 'insert', table: 'orders', row: { id: 1n, note: null, body: null, amount: null } });
    await expect(world.catchUp()).rejects.toMatchObject({
      code: 'FUNCTION_FAILED',
      message: expect.stringContaining('"id", which is part of the key'),
    });
  });

  test('a function that gives several rows stops the stream', async () => {
    const { world, database } = worldOf({
      through: (changes) => ({ mapped: map(changes, { orders: { to: orders, row: ((row: object) => [row, row]) as never } }) }),
    });
    await world.catchUp();
    database.commit({ do: 'insert', table: 'orders', row: { id: 1n, note: null, body: null, amount: null } });
    await expect(world.catchUp()).rejects.toMatchObject({
      code: 'FUNCTION_FAILED',
      message: expect.stringContaining('several rows for one'),
    });
  });

  test('a function that throws stops the stream, with nothing of its transaction applied', async () => {
    const { world, database, mirror } = worldOf({
      through: (changes) => ({
        mapped: map(changes, {
          orders: {
            to: orders,
            row: (row) => {
              if (row.note === 'bad') throw new Error('no good');
              return row;
            },
          },
        }),
      }),
    });
    await world.catchUp();
    database.commit(
      { do: 'insert', table: 'pairs', row: { a: 1, b: 'x', n: 1 } },
      { do: 'insert', table: 'orders', row: { id: 1n, note: 'bad', body: null, amount: null } },
    );
    await expect(world.catchUp()).rejects.toMatchObject({
      code: 'FUNCTION_FAILED',
      message: expect.stringContaining('no good'),
      facts: { step: 'mapped' },
    });
    expect(plainState(mirrorState(mirror))).toEqual({ orders: [], pairs: [], events: [] });
  });
});

describe('columns that change at the source', () => {
  const renamed = { change: 'rename', from: 'note', to: 'remark' } as const;
  const added = (name: string) => ({ change: 'add', column: { name, type: { kind: 'text' }, nullable: true }, fill: null }) as const;
  const row = { id: 1n, note: 'secret', body: null, amount: null };

  test.for([
    ['mask', (changes: Changes) => mask(changes, { orders: { note: hash({ salt }) } })],
    ['select', (changes: Changes) => select(changes, { orders: ['id', 'note'] })],
    ['rename', (changes: Changes) => rename(changes, { orders: { note: 'n' } })],
    ['filter', (changes: Changes) => filter(changes, { orders: [['note', '<>', 'x']] })],
    ['map', (changes: Changes) => map(changes, { orders: { to: orders, row: (one) => ({ ...one, note: one.note ?? null }) } })],
    ['filter by function', (changes: Changes) => filter(changes, { orders: ({ note }) => note !== 'x' })],
  ] as const)('%s: a column that it names and that is called otherwise now stops the stream; nothing slips through', async ([, step]) => {
    for (const other of [[], [{ change: 'rename', from: 'body', to: 'note' } as const], [added('note')]]) {
      const { world, database, mirror } = worldOf({ through: (changes) => ({ step: step(changes) as Step }), strict: false });
      await world.catchUp();
      database.commit({ do: 'insert', table: 'orders', row });
      await world.catchUp();
      const before = plainState(mirrorState(mirror));
      database.commit({ do: 'insert', table: 'pairs', row: { a: 1, b: 'x', n: 1 } });
      database.commit(
        { do: 'alter', table: 'orders', changes: [renamed, ...other] },
        { do: 'insert', table: 'orders', row: { id: 2n, remark: 'secret', body: null, note: null, amount: null } },
      );
      for (let attempt = 0; attempt < 2; attempt++)
        await expect(world.catchUp()).rejects.toMatchObject({
          code: 'SCHEMA_CHANGED',
          message: expect.stringContaining('"note" is called "remark" now'),
        });
      // What came before it is there.
      expect(plainState(mirrorState(mirror))).toEqual({ ...before, pairs: [{ a: 1, b: 'x', n: 1 }] });
    }
  });

  test('what the steps do not name goes on to the target under their names', async () => {
    const { world, database, mirror } = worldOf({
      through: (changes) => {
        const masked = mask(changes, { orders: { note: hash({ salt }) } });
        return { masked, renamed: rename(masked, { orders: { note: 'n' } }) };
      },
    });
    await world.catchUp();
    database.commit({ do: 'insert', table: 'orders', row });
    await world.catchUp();
    database.commit(
      {
        do: 'alter',
        table: 'orders',
        changes: [{ change: 'rename', from: 'body', to: 'text' }, added('more'), { change: 'drop', name: 'amount' }],
      },
      { do: 'insert', table: 'orders', row: { id: 2n, note: null, text: 't', more: 'm' } },
    );
    await world.catchUp();
    expect(plainState(mirrorState(mirror))['orders']).toEqual([
      { id: 1n, n: hashed('secret'), text: null, more: null },
      { id: 2n, n: null, text: 't', more: 'm' },
    ]);
  });

  test('a column that is added is no business of a map; of a filter it is', async () => {
    const two = table(
      'two',
      { id: int8(), note: text().orNull(), body: text().orNull(), amount: numeric(12, 2).orNull() },
      { key: ['id'] },
    );
    for (const [step, columns] of [
      [(changes: Changes) => map(changes, { orders: { to: two, row: (one) => ({ ...one }) } }), ['id', 'note', 'body', 'amount']],
      [(changes: Changes) => filter(changes, { orders: (one) => one.note !== 'x' }), ['id', 'note', 'body', 'amount', 'more']],
    ] as const) {
      const { world, database, mirror } = worldOf({ through: (changes) => ({ step: step(changes) as Step }), strict: false });
      await world.catchUp();
      database.commit({ do: 'insert', table: 'orders', row });
      database.commit(
        { do: 'alter', table: 'orders', changes: [added('more')] },
        { do: 'insert', table: 'orders', row: { ...row, id: 2n, more: 'm' } },
      );
      await world.catchUp();
      const [first, second] = plainState(mirrorState(mirror))['orders'] as [MemoryRow, MemoryRow];
      expect(Object.keys(first)).toEqual(columns);
      expect(second['more']).toBe(columns.length === 5 ? 'm' : undefined);
    }
  });
});

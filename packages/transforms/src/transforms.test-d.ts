import { date, int4, int8, numeric, type RowOf, type Step, secret, table, text, timestamptz } from '@millrace/core';
import type { SqlConnection } from '@millrace/core/runtime';
import { expectTypeOf, test } from 'vitest';
import {
  accepted,
  cast,
  check,
  dedupe,
  filter,
  freshness,
  hash,
  map,
  mapBatches,
  mask,
  notNull,
  on,
  query,
  range,
  redact,
  rename,
  rowCount,
  select,
  truncate,
  unique,
} from './index.ts';

const orders = table('orders', { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() }, { key: ['id'] });
const facts = table('facts', { order_id: int8(), day: date(), note: text().orNull() });
type Order = RowOf<typeof orders>;
declare const rows: Step<Order, 'rows'>;
declare const warehouse: SqlConnection;

test('map infers the row and gives rows of the target', () => {
  const out = map(rows, {
    to: facts,
    row: (order) => {
      expectTypeOf(order).toEqualTypeOf<Order>();
      return order.note === null ? null : { order_id: order.id, day: order.updated_at.slice(0, 10), note: order.note };
    },
  });
  expectTypeOf(out).toEqualTypeOf<Step<RowOf<typeof facts>, 'rows'>>();
  map(rows, { to: facts, row: (order) => [{ order_id: order.id, day: '', note: null }] });
  // @ts-expect-error a column that is not there
  map(rows, { to: facts, row: (order) => ({ order_id: order.idd, day: '', note: null }) });
  // @ts-expect-error a column is missing
  map(rows, { to: facts, row: (order) => ({ order_id: order.id, day: '' }) });
  // @ts-expect-error a value of another type
  map(rows, { to: facts, row: () => ({ order_id: 5, day: '', note: null }) });
  // @ts-expect-error a row function is not awaited
  map(rows, { to: facts, row: async (order) => ({ order_id: order.id, day: '', note: null }) });
  // @ts-expect-error a column too many
  map(rows, { to: facts, row: (order) => ({ order_id: order.id, day: '', note: null, extra: 1 }) });
  // @ts-expect-error a column too many, beside null
  map(rows, { to: facts, row: (order) => (order.note ? null : { order_id: order.id, day: '', note: null, extra: 1 }) });
});

test('mapBatches types its columns and what it gives back', () => {
  mapBatches(rows, {
    to: facts,
    batch: async (batch) => {
      expectTypeOf(batch.column('id').values()).toEqualTypeOf<bigint[]>();
      expectTypeOf(batch.column('note').get(0)).toEqualTypeOf<string | null>();
      // @ts-expect-error a column that is not there
      batch.column('nope');
      return batch.with({
        order_id: batch.column('id'),
        day: batch
          .column('updated_at')
          .values()
          .map((at) => at.slice(0, 10)),
      });
    },
  });
  // @ts-expect-error order_id is missing
  mapBatches(rows, { to: facts, batch: (batch) => batch.with({ day: [''] }) });
});

test('filter, select, rename, cast, mask and dedupe know the columns', () => {
  expectTypeOf(filter(rows, (order) => order.total > '0')).toEqualTypeOf<Step<Order, 'rows'>>();
  expectTypeOf(
    filter(rows, [
      ['total', '>', '0'],
      ['note', 'not null'],
      ['id', 'in', [1n, 2]],
    ]),
  ).toEqualTypeOf<Step<Order, 'rows'>>();
  expectTypeOf(select(rows, ['id', 'note'])).toEqualTypeOf<Step<Pick<Order, 'id' | 'note'>, 'rows'>>();
  expectTypeOf(rename(rows, { id: 'order_id' })).toEqualTypeOf<
    Step<{ readonly order_id: bigint; readonly total: string; readonly note: string | null; readonly updated_at: string }, 'rows'>
  >();
  expectTypeOf(cast(rows, { id: int4(), note: int8() })).toEqualTypeOf<
    Step<{ readonly id: number; readonly total: string; readonly note: bigint | null; readonly updated_at: string }, 'rows'>
  >();
  expectTypeOf(cast(rows, { id: int4() }, { onError: 'null' })).toEqualTypeOf<
    Step<{ readonly id: number | null; readonly total: string; readonly note: string | null; readonly updated_at: string }, 'rows'>
  >();
  expectTypeOf(mask(rows, { id: hash({ salt: secret('S') }), note: truncate(1), total: redact({ with: null }) })).toEqualTypeOf<
    Step<{ readonly id: string; readonly total: string | null; readonly note: string | null; readonly updated_at: string }, 'rows'>
  >();
  expectTypeOf(dedupe(rows, { key: ['id'], by: 'updated_at' })).toEqualTypeOf<Step<Order, 'rows'>>();
  // @ts-expect-error a column that is not there
  filter(rows, [['nope', '>', '0']]);
  // @ts-expect-error no such comparison
  filter(rows, [['total', '~', '0']]);
  // @ts-expect-error a column that is not there
  filter(rows, (order) => order.nope);
  // @ts-expect-error not a boolean
  filter(rows, (order) => order.note);
  // @ts-expect-error a column that is not there
  select(rows, ['id', 'nope']);
  // @ts-expect-error a column that is not there
  rename(rows, { id: 'order_id', nope: 'x' });
  // @ts-expect-error a column that is not there
  cast(rows, { nope: int4() });
  // @ts-expect-error a column that is not there
  mask(rows, { nope: redact() });
  // @ts-expect-error a column that is not there
  dedupe(rows, { key: ['nope'], by: 'updated_at' });
});

test('check knows the columns of rows and of tables', () => {
  const expectations = [
    notNull('id'),
    unique('id', 'note'),
    accepted('note', ['a']).warn(),
    range('total', { min: '0' }),
    rowCount({ min: 1 }),
  ] as const;
  expectTypeOf(check(rows, [...expectations, freshness('updated_at', '2d')])).toEqualTypeOf<Step<Order, 'rows'>>();
  expectTypeOf(check(warehouse, [on(facts, [notNull('day')]), query('none', 'SELECT 1').warn()])).toEqualTypeOf<Step<never, 'nothing'>>();
  // @ts-expect-error a column that is not there
  check(rows, [notNull('nope')]);
  // @ts-expect-error a column that is not there
  on(facts, [unique('id')]);
  // @ts-expect-error not a duration
  freshness('updated_at', '2 days');
  // @ts-expect-error an expectation about rows needs its table at a database
  check(warehouse, [notNull('id')]);
});

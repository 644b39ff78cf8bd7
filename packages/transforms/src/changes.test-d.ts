import { capture, int4, int8, load, numeric, type RowOf, type Step, secret, table, text, timestamptz } from '@millrace/core';
import type { CaptureConnection, ChangeTarget } from '@millrace/core/runtime';
import { expectTypeOf, test } from 'vitest';
import { filter, hash, map, mask, redact, rename, select, truncate } from './index.ts';

const customers = table('customers', { id: int4(), email: text(), phone: text().orNull(), country: text() }, { key: ['id'] });
const orders = table('orders', { id: int8(), total: numeric(12, 2), note: text().orNull(), at: timestamptz() }, { key: ['id'] });
const fact = table('fact', { id: int8(), total: numeric(12, 2) }, { key: ['id'] });
type Customer = RowOf<typeof customers>;
type Order = RowOf<typeof orders>;
declare const shop: CaptureConnection<{ readonly heartbeat?: '10s' }>;
declare const anywhere: ChangeTarget<unknown>;
declare const ordersOnly: ChangeTarget<{ readonly orders: Order }>;
const changes = capture(shop, { tables: { customers, orders } });

test('capture knows the rows of its tables, and the options of its connection', () => {
  expectTypeOf(changes).toEqualTypeOf<Step<{ readonly customers: Customer; readonly orders: Order }, 'changes'>>();
  capture(shop, { tables: { orders }, snapshot: 'never', schemaChanges: { add: 'ignore' }, heartbeat: '10s' });
  // @ts-expect-error not a snapshot mode
  capture(shop, { tables: { orders }, snapshot: 'sometimes' });
  // @ts-expect-error no such policy
  capture(shop, { tables: { orders }, schemaChanges: { drop: 'widen' } });
  // @ts-expect-error not an option of the connection
  capture(shop, { tables: { orders }, heartbeat: '5s' });
  // @ts-expect-error a table is declared with table()
  capture(shop, { tables: { orders: 'orders' } });
});

test('mask knows tables and columns, and what masks make of them', () => {
  const masked = mask(changes, { customers: { email: hash({ salt: secret('S') }), phone: truncate(2), country: redact({ with: null }) } });
  expectTypeOf(masked).toEqualTypeOf<
    Step<
      {
        readonly customers: { readonly id: number; readonly email: string; readonly phone: string | null; readonly country: string | null };
        readonly orders: Order;
      },
      'changes'
    >
  >();
  mask(changes, {
    customers: {
      email: redact(),
      // @ts-expect-error a column that is not there
      fax: redact(),
    },
  });
  mask(changes, {
    customers: { email: redact() },
    // @ts-expect-error a table that is not there
    invoices: { email: redact() },
  });
  // @ts-expect-error a mask is made by a function
  mask(changes, { customers: { email: 'hash' } });
});

test('map infers the row, and gives rows of the target', () => {
  const mapped = map(changes, {
    orders: {
      to: fact,
      row: (order) => {
        expectTypeOf(order).toEqualTypeOf<Order>();
        return order.note === null ? null : { id: order.id, total: order.total };
      },
    },
  });
  expectTypeOf(mapped).toEqualTypeOf<Step<{ readonly customers: Customer; readonly orders: RowOf<typeof fact> }, 'changes'>>();
  map(changes, {
    orders: {
      to: fact,
      // @ts-expect-error a column that is not there
      row: (order) => ({ id: order.idd, total: order.total }),
    },
  });
  map(changes, {
    orders: {
      to: fact,
      // @ts-expect-error a column is missing
      row: (order) => ({ id: order.id }),
    },
  });
  map(changes, {
    orders: {
      to: fact,
      // @ts-expect-error a value of another type
      row: (order) => ({ id: 5, total: order.total }),
    },
  });
  map(changes, {
    orders: {
      to: fact,
      // @ts-expect-error a column too many
      row: (order) => ({ id: order.id, total: order.total, extra: 1 }),
    },
  });
  map(changes, {
    orders: {
      to: fact,
      // @ts-expect-error several rows of one
      row: (order) => [{ id: order.id, total: order.total }],
    },
  });
  map(changes, {
    // @ts-expect-error a table that is not there
    invoices: { to: fact, row: () => null },
  });
});

test('filter, select and rename know tables and columns', () => {
  expectTypeOf(filter(changes, { orders: [['total', '>', '0']], customers: (customer) => customer.country === 'FR' })).toEqualTypeOf<
    Step<{ readonly customers: Customer; readonly orders: Order }, 'changes'>
  >();
  expectTypeOf(select(changes, { customers: ['id', 'country'] })).toEqualTypeOf<
    Step<{ readonly customers: Pick<Customer, 'id' | 'country'>; readonly orders: Order }, 'changes'>
  >();
  expectTypeOf(rename(changes, { orders: { id: 'order_id' } })).toEqualTypeOf<
    Step<
      {
        readonly customers: Customer;
        readonly orders: { readonly order_id: bigint; readonly total: string; readonly note: string | null; readonly at: string };
      },
      'changes'
    >
  >();
  // @ts-expect-error a column that is not there
  filter(changes, { orders: [['totl', '>', '0']] });
  // @ts-expect-error a column that is not there
  filter(changes, { orders: (order) => order.totl > '0' });
  // @ts-expect-error a table that is not there
  filter(changes, { invoices: [['total', '>', '0']] });
  // @ts-expect-error a column that is not there
  select(changes, { customers: ['id', 'fax'] });
  // @ts-expect-error a table that is not there
  select(changes, { orders: ['id'], invoices: ['id'] });
  // @ts-expect-error a column that is not there
  rename(changes, { orders: { idd: 'order_id' } });
  // @ts-expect-error a table that is not there
  rename(changes, { orders: { id: 'order_id' }, invoices: { id: 'x' } });
});

test('load takes changes to a target that follows them, and rows that it accepts', () => {
  expectTypeOf(load(changes, anywhere)).toExtend<Step<unknown, 'nothing'>>();
  load(changes, ordersOnly);
  // @ts-expect-error the target wants another row
  load(select(changes, { orders: ['id'] }), ordersOnly);
  // @ts-expect-error changes are not rows
  map(changes, { to: fact, row: () => null });
});

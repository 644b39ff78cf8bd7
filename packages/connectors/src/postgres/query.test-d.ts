import { int8, numeric, type RowOf, table, text } from '@millrace/core';
import type { Selection } from '@millrace/core/runtime';
import type { Kysely } from 'kysely';
import { expectTypeOf, test } from 'vitest';
import { postgres } from './index.ts';

interface ShopDB {
  orders: { id: string; total: string; note: string | null };
}

const shop = postgres({ url: 'postgres://localhost/shop' });
const totals = table('totals', { id: int8(), total: numeric(12, 2) });

test('the rows of a query are those of the table it is declared as', () => {
  const query = shop.query((db: Kysely<ShopDB>) => db.selectFrom('orders').select(['id', 'total']), { as: totals });
  expectTypeOf(query).toEqualTypeOf<Selection<RowOf<typeof totals>>>();
  expectTypeOf<RowOf<typeof totals>>().toEqualTypeOf<{ readonly id: bigint; readonly total: string }>();
});

test('a column that one has and the other has not is an error of types', () => {
  // @ts-expect-error `note` is not declared
  shop.query((db: Kysely<ShopDB>) => db.selectFrom('orders').select(['id', 'total', 'note']), { as: totals });
  // @ts-expect-error `total` is not selected
  shop.query((db: Kysely<ShopDB>) => db.selectFrom('orders').select(['id']), { as: totals });
  // @ts-expect-error `gone` is not a column of the database
  shop.query((db: Kysely<ShopDB>) => db.selectFrom('orders').select(['id', 'gone']), { as: table('t', { id: int8(), gone: text() }) });
});

import { extract, int8, load, type RowOf, type Step, table, text } from '@millrace/core';
import { expectTypeOf, test } from 'vitest';
import { http, type StandardSchema } from './index.ts';

const orders = table('orders', { id: int8(), city: text().orNull() }, { key: ['id'] });
const api = http({ url: 'https://api.example.com/' });

test('rows of a listing have the type of their table, and columns are named by it', () => {
  expectTypeOf<RowOf<typeof orders>>().toEqualTypeOf<{ readonly id: bigint; readonly city: string | null }>();
  const read = extract(api.rows('orders', orders, { fields: { city: 'shipping.city' } }), { since: 'id' });
  expectTypeOf(read).toEqualTypeOf<Step<RowOf<typeof orders>, 'rows'>>();
  // @ts-expect-error: the table has no such column.
  api.rows('orders', orders, { fields: { town: 'shipping.city' } });
  // @ts-expect-error: nor has it this one.
  extract(api.rows('orders', orders), { since: 'updated_at' });
  load(read, api.post('import'));
});

test('a schema answers columns of the table', () => {
  const schema = {} as StandardSchema<{ id: number; city: string }>;
  api.rows('orders', orders, { schema });
  // @ts-expect-error: the table has no column "town", and the schema none of its columns.
  api.rows('orders', orders, { schema: {} as StandardSchema<{ town: string }> });
});

test('files of a web server have the type of their table', () => {
  const read = extract(api.csv('orders.csv', orders));
  expectTypeOf(read).toEqualTypeOf<Step<RowOf<typeof orders>, 'rows'>>();
});

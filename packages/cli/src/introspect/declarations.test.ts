import { array, char, domain, enumeration, int4, int8, numeric, other, range, table, text, timestamptz, varchar } from '@millrace/core';
import { expect, test } from 'vitest';
import { declarations } from './declarations.ts';

const mood = enumeration('mood', ['happy', "it's", 'so "so"']);

test('a table becomes a declaration that imports only what it uses', () => {
  const orders = table(
    'public.orders',
    { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz(3) },
    { key: ['id'] },
  );
  expect(declarations([orders])).toBe(`import { int8, numeric, table, text, timestamptz } from '@millrace/core';

export const orders = table('public.orders', {
  id: int8(),
  total: numeric(12, 2),
  note: text().orNull(),
  updated_at: timestamptz(3),
}, { key: ['id'] });
`);
});

test('enums and domains stand once, above the tables that use them', () => {
  const amount = domain('amount', numeric(8));
  const source = declarations([
    table('public.a', { mood, moods: array(mood).orNull(), price: amount }),
    table('public.b', { mood: mood.orNull(), prices: array(amount) }),
  ]);
  expect(source).toContain(String.raw`const mood = enumeration('mood', ['happy', 'it\'s', 'so "so"']);`);
  expect(source).toContain("const amount = domain('amount', numeric(8));");
  expect(source).toContain('moods: array(mood).orNull(),');
  expect(source.match(/enumeration\(/g)).toHaveLength(1);
});

test('the order in which tables come does not matter', () => {
  const tables = [table('public.b', { id: int4() }), table('public.a', { id: int4() })];
  expect(declarations(tables)).toBe(declarations([...tables].reverse()));
});

test('names that TypeScript does not take are quoted, renamed or computed', () => {
  const source = declarations([
    table('public.order items', { 'first name': text(), class: varchar(3), ['__proto__']: char(2), "it's": other('geometry') }),
    table('public.text', { r: range('int4range') }),
    table('sales.orders', { id: int4() }),
    table('public.orders', { id: int4() }),
    table('public.2024', { id: int4() }),
  ]);
  expect(source).toContain("export const orderItems = table('public.order items', {");
  expect(source).toContain("  'first name': text(),");
  expect(source).toContain("  ['__proto__']: char(2),");
  expect(source).toContain(String.raw`  'it\'s': other('geometry'),`);
  expect(source).toContain("export const publicText = table('public.text'");
  expect(source).toContain("export const orders = table('public.orders'");
  expect(source).toContain("export const salesOrders = table('sales.orders'");
  expect(source).toContain("export const t2024 = table('public.2024'");
});

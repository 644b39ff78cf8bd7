import { expect, test } from 'vitest';
import { nameParts } from './name.ts';

test.each([
  ['orders', ['orders']],
  ['public.Orders', ['public', 'Orders']],
  ['"we.ird"."t"', ['we.ird', 't']],
  ['a."b""c"', ['a', 'b"c']],
  ['"; DROP TABLE orders; --"', ['; DROP TABLE orders; --']],
  ['" "', [' ']],
  ['', null],
  ['a.', null],
  ['.a', null],
  ['a..b', null],
  ['a"b', null],
  ['"a"b', null],
  ['"a', null],
])('%s has the parts %j', (text, parts) => {
  expect(nameParts(text)).toEqual(parts);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inexactNumber } from './json-number.ts';

test.each([
  ['12345678901234567890', null],
  ['18446744073709551615', null],
  ['18446744073709551616', '18446744073709551616'],
  ['18446744073709551617', '18446744073709551617'],
  ['-9223372036854775808', null],
  ['-9223372036854775809', '-9223372036854775809'],
  ['{"a": [0.1, 1.50, 100, 1e20], "b": 1234567.89012345}', null],
  ['{"a": {"price": 12345678901234567.89}}', '12345678901234567.89'],
  ['{"12345678901234567.89": "12345678901234567.89 \\" 12345678901234567.89"}', null],
  ['[0.1000000000000000055511151231257827]', '0.1000000000000000055511151231257827'],
  ['[1.7976931348623157e308, 5e-324, 0.00000000000000000000]', null],
  ['[1e400]', '1e400'],
  ['[1e-400]', '1e-400'],
  ['null', null],
])('%s', (json, changed) => {
  expect(inexactNumber(json)).toBe(changed);
});

test('what JavaScript prints of a double is kept', () => {
  fc.assert(fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => inexactNumber(JSON.stringify([value])) === null));
});

import type { ColumnType } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { conversion, textConversion } from './convert.ts';

const numeric = (precision?: number, scale?: number): ColumnType =>
  precision === undefined ? { kind: 'numeric' } : { kind: 'numeric', precision, scale: scale ?? 0 };

test.for<[ColumnType, ColumnType, unknown, unknown]>([
  [{ kind: 'int4' }, { kind: 'int8' }, 5, 5n],
  [{ kind: 'int2' }, { kind: 'int4' }, 5, 5],
  [{ kind: 'int4' }, { kind: 'float8' }, 5, 5],
  [{ kind: 'int4' }, { kind: 'text' }, -5, '-5'],
  [{ kind: 'int8' }, numeric(30, 2), 5n, '5.00'],
  [{ kind: 'int4' }, numeric(), 5, '5'],
  [numeric(6, 1), numeric(10, 4), '-1.1', '-1.1000'],
  [numeric(6, 1), numeric(10, 4), 'NaN', 'NaN'],
  [numeric(6, 0), numeric(10, 2), '7', '7.00'],
  [{ kind: 'cidr' }, { kind: 'inet' }, '10.0.0.0/8', '10.0.0.0/8'],
  [{ kind: 'uuid' }, { kind: 'text' }, 'c0ffee00-0000-4000-8000-000000000001', 'c0ffee00-0000-4000-8000-000000000001'],
])('%j as %j: %s is %s', ([from, to, value, expected]) => {
  expect(conversion(from, to)?.(value)).toBe(expected);
});

test.for<[ColumnType, ColumnType]>([
  [{ kind: 'text' }, { kind: 'text' }],
  [{ kind: 'varchar', length: 5 }, { kind: 'text' }],
  [{ kind: 'enum', name: 'mood', labels: ['sad'] }, { kind: 'text' }],
  [{ kind: 'timestamptz', precision: 3 }, { kind: 'timestamptz' }],
  [{ kind: 'domain', name: 'd', of: { kind: 'int4' } }, { kind: 'int4' }],
  [numeric(6, 2), numeric(10, 2)],
  [numeric(6, 2), numeric()],
  [
    { kind: 'array', of: { kind: 'int4' } },
    { kind: 'array', of: { kind: 'int4' } },
  ],
])('%j has the bytes of %j', ([from, to]) => {
  expect(conversion(from, to)).toBeNull();
});

test.for<[ColumnType, ColumnType]>([
  [{ kind: 'timestamptz' }, { kind: 'text' }],
  [{ kind: 'bytea' }, { kind: 'text' }],
  [{ kind: 'float8' }, { kind: 'text' }],
  [
    { kind: 'array', of: { kind: 'int4' } },
    { kind: 'array', of: { kind: 'int8' } },
  ],
])('%j can be %j only from its text', ([from, to]) => {
  expect(conversion(from, to)).toBeUndefined();
  expect(textConversion(from, to)).toBeNull();
});

import {
  array,
  bool,
  bytea,
  type Column,
  date,
  float4,
  float8,
  int2,
  int8,
  json,
  jsonb,
  numeric,
  text,
  timestamptz,
  uuid,
} from '@millrace/core';
import { expect, test } from 'vitest';
import { attributeReader, attributeWriter } from './attribute.ts';

const schema = ({ type, nullable }: Column) => ({ name: 'it', type, nullable });

test.each<[Column, unknown, object]>([
  [bool(), false, { BOOL: false }],
  [int2(), -32_768, { N: '-32768' }],
  [int8(), 9_223_372_036_854_775_807n, { N: '9223372036854775807' }],
  [numeric(38, 10), '1234567890123456789012345678.0123456789', { N: '1234567890123456789012345678.0123456789' }],
  [float8(), 0.1, { N: '0.1' }],
  [float8(), 1e125, { N: '1e+125' }],
  [float4(), Math.fround(0.1), { N: '0.1' }],
  [bytea(), new Uint8Array([0, 255]), { B: new Uint8Array([0, 255]) }],
  [text(), '', { S: '' }],
  [uuid(), '3b241101-e2bb-4255-8caf-4136c566a962', { S: '3b241101-e2bb-4255-8caf-4136c566a962' }],
  [date(), 'infinity', { S: 'infinity' }],
  [timestamptz(), '2024-02-29T23:59:59.123456Z', { S: '2024-02-29T23:59:59.123456Z' }],
  [json(), ' {"a": 1.0} ', { S: ' {"a": 1.0} ' }],
  [
    jsonb(),
    '{"a":[1,"x",true,null,{}],"b":"é\\n"}',
    { M: { a: { L: [{ N: '1' }, { S: 'x' }, { BOOL: true }, { NULL: true }, { M: {} }] }, b: { S: 'é\n' } } },
  ],
  [jsonb(), '12345678901234567890', { N: '12345678901234567890' }],
  [array(int8()), [1n, null, 3n], { L: [{ N: '1' }, { NULL: true }, { N: '3' }] }],
  [
    array(text()),
    [
      ['a', null],
      ['', 'd'],
    ],
    { L: [{ L: [{ S: 'a' }, { NULL: true }] }, { L: [{ S: '' }, { S: 'd' }] }] },
  ],
])('what is written is read back (%#)', (column, value, attribute) => {
  const written = attributeWriter(schema(column))(value);
  expect(written).toEqual(attribute);
  const read = attributeReader(schema(column))({ it: written });
  if (column.type.kind !== 'jsonb') expect(read).toEqual(value);
  else expect(JSON.parse(read as string)).toEqual(JSON.parse(value as string));
});

test.each<[Column, object | undefined, unknown]>([
  [text().orNull(), undefined, null],
  [text().orNull(), { NULL: true }, null],
  [array(text()), { SS: ['a', 'b'] }, ['a', 'b']],
  [array(numeric()), { NS: ['1', '2.5'] }, ['1', '2.5']],
  [jsonb(), { SS: ['a'] }, '["a"]'],
  [json(), { M: { a: { N: '1' } } }, '{"a":1}'],
  [float8(), { N: '100' }, 100],
  [numeric(), { N: '1E+3' }, '1000'],
])('is read from what others have written (%#)', (column, attribute, value) => {
  expect(attributeReader(schema(column))((attribute === undefined ? {} : { it: attribute }) as never)).toEqual(value);
});

test.each<[Column, object | undefined]>([
  [text(), undefined],
  [text(), { N: '1' }],
  [int8(), { S: '1' }],
  [int8(), { N: '1.5' }],
  [float8(), { N: '0.12345678901234567891' }],
  [float4(), { N: '0.123456789' }],
  [jsonb(), { M: { a: { B: new Uint8Array([1]) } } }],
  [array(text()), { S: 'a' }],
])('is refused where it would not be the same (%#)', (column, attribute) => {
  expect(() => attributeReader(schema(column))((attribute === undefined ? {} : { it: attribute }) as never)).toThrow(
    expect.objectContaining({ code: 'TYPE_MISMATCH', message: expect.stringContaining('"it"') }),
  );
});

test.each<[Column, unknown]>([
  [numeric(), '1'.repeat(39)],
  [numeric(), 'NaN'],
  [float8(), Number.POSITIVE_INFINITY],
  [float8(), 1e126],
  [float8(), 5e-324],
  [jsonb(), 'null'],
  [jsonb(), `[${'9'.repeat(39)}]`],
])('is nothing that DynamoDB has (%#)', (column, value) => {
  expect(() => attributeWriter(schema(column))(value)).toThrow(expect.objectContaining({ code: 'VALUE_UNREPRESENTABLE' }));
});

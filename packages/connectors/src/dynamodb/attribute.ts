import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import {
  baseType,
  type ColumnSchema,
  type ColumnType,
  conform,
  inColumn,
  MillraceError,
  mismatch,
  textCodec,
} from '@millrace/core/runtime';
import { documentText, textDocument } from './document.ts';

/*
 * Columns and attributes. Docs: docs/connectors/dynamodb.md has this table.
 *
 * | column                          | written as            | read from                                              |
 * |---------------------------------|-----------------------|--------------------------------------------------------|
 * | bool                            | BOOL                  | BOOL                                                   |
 * | int2, int4, int8, numeric       | N, 38 digits          | N                                                      |
 * | float4, float8                  | N, the shortest text  | N, where a float holds it                              |
 * | bytea                           | B                     | B                                                      |
 * | jsonb                           | M, L, N, S, BOOL      | the same; a set as a list                              |
 * | json                            | S, to the letter      | S with JSON in it; M and L as jsonb                    |
 * | arrays                          | L                     | L, SS, NS, BS                                          |
 * | everything else                 | S, as row functions see it: `2024-02-29T23:59:59.123456Z` | S                  |
 * | NULL                            | no attribute          | no attribute, NULL                                     |
 */

/** Reads a column out of items. @throws TYPE_MISMATCH for an attribute that the column cannot hold to the letter */
export function attributeReader({ name, type, nullable }: ColumnSchema): (item: Readonly<Record<string, AttributeValue>>) => unknown {
  assertName(name);
  const read = reader(type);
  return (item) => {
    try {
      const attribute = Object.hasOwn(item, name) ? item[name] : undefined;
      if (attribute !== undefined && attribute.NULL !== true) return read(attribute);
      if (nullable) return null;
      throw mismatch(type, null, 'the item has no such attribute', `Declare "${name}" with .orNull().`);
    } catch (error) {
      throw inColumn(name, error);
    }
  };
}

/** The SDK makes an object of an item, and loses this name. @throws UNSUPPORTED */
function assertName(name: string): void {
  if (name !== '__proto__') return;
  throw new MillraceError('UNSUPPORTED', {
    message: 'An attribute "__proto__" can be neither read nor written.',
    remedy: 'Leave the column out, or rename() it before the load.',
    facts: { column: name },
  });
}

function reader(type: ColumnType): (attribute: AttributeValue) => unknown {
  const base = baseType(type);
  const fitting = conform(type);
  const only =
    <Kind extends 'S' | 'N' | 'B' | 'BOOL'>(kind: Kind, take: (value: NonNullable<AttributeValue[Kind]>) => unknown) =>
    (attribute: AttributeValue): unknown => {
      const value = attribute[kind];
      if (value !== undefined) return take(value as NonNullable<AttributeValue[Kind]>);
      throw mismatch(
        type,
        kindOf(attribute),
        `the attribute is ${kindOf(attribute)}, not ${kind}`,
        'Declare the column as what the attribute is.',
      );
    };
  switch (base.kind) {
    case 'bool':
      return only('BOOL', fitting);
    case 'int2':
    case 'int4':
    case 'int8':
    case 'numeric':
      return only('N', fitting);
    case 'float4':
    case 'float8':
      return only('N', (text) => exactFloat(type, text));
    case 'bytea':
      return only('B', fitting);
    case 'json':
      return (attribute) => fitting(attribute.S ?? documentText(attribute));
    case 'jsonb':
      return (attribute) => fitting(documentText(attribute));
    case 'array': {
      const element = reader(base.of);
      const isDocument = ['json', 'jsonb'].includes(baseType(base.of).kind);
      // A list in it is another dimension of the array, unless its elements may be lists.
      const item = (one: AttributeValue): unknown =>
        one.NULL === true ? null : one.L === undefined || isDocument ? element(one) : one.L.map(item);
      return (attribute) => listOf(type, attribute).map(item);
    }
    default:
      return only('S', fitting);
  }
}

/** Writes a value, which is not NULL, as an attribute. @throws VALUE_UNREPRESENTABLE */
export function attributeWriter({ name, type }: Pick<ColumnSchema, 'name' | 'type'>): (value: unknown) => AttributeValue {
  assertName(name);
  const write = writer(type);
  return (value) => {
    try {
      return write(value);
    } catch (error) {
      throw inColumn(name, error);
    }
  };
}

function writer(type: ColumnType): (value: unknown) => AttributeValue {
  const base = baseType(type);
  const { print } = textCodec(type);
  switch (base.kind) {
    case 'bool':
      return (value) => ({ BOOL: value as boolean });
    case 'int2':
    case 'int4':
    case 'int8':
    case 'numeric':
    case 'float4':
    case 'float8':
      return (value) => ({ N: checkedNumber(type, print(value)) });
    case 'bytea':
      return (value) => ({ B: value as Uint8Array });
    case 'jsonb':
      return (value) => textDocument(value as string, (text) => checkedNumber(type, text));
    case 'array': {
      const element = writer(base.of);
      return (value) => ({ L: (value as readonly unknown[]).map((one) => nestedAttribute(one, element)) });
    }
    default:
      return (value) => ({ S: String(value) });
  }
}

const nestedAttribute = (value: unknown, element: (value: unknown) => AttributeValue): AttributeValue => {
  if (value === null) return { NULL: true };
  return Array.isArray(value) ? { L: value.map((one) => nestedAttribute(one, element)) } : element(value);
};

/** What a primary key can be made of. */
export function keyKind(type: ColumnType): 'S' | 'N' | 'B' | null {
  const { kind } = baseType(type);
  switch (kind) {
    case 'int2':
    case 'int4':
    case 'int8':
    case 'numeric':
    case 'float4':
    case 'float8':
      return 'N';
    case 'bytea':
      return 'B';
    case 'bool':
    case 'jsonb':
    case 'array':
      return null;
    default:
      return 'S';
  }
}

const kindOf = (attribute: AttributeValue): string => Object.keys(attribute).find((key) => !key.startsWith('$')) ?? 'nothing';

function listOf(type: ColumnType, { L, SS, NS, BS, ...other }: AttributeValue): AttributeValue[] {
  const list = L ?? SS?.map((S) => ({ S })) ?? NS?.map((N) => ({ N })) ?? BS?.map((B) => ({ B }));
  if (list) return list as AttributeValue[];
  throw mismatch(type, kindOf(other as AttributeValue), 'the attribute is no list and no set');
}

const anyNumeric = conform({ kind: 'numeric' });

/** Equal for texts of one number, as DynamoDB compares keys. */
export function numberText(text: string): string {
  const whole = String(anyNumeric(text));
  const plain = whole.includes('.') ? whole.replace(/\.?0+$/, '') : whole;
  return plain === '-0' ? '0' : plain;
}

/** A float that prints as the number is; others would be another number. */
function exactFloat(type: ColumnType, text: string): unknown {
  const { parse, print } = textCodec(type);
  const value = parse(text);
  const printed = print(value);
  if (/\d/.test(printed) && numberText(printed) === numberText(text)) return value;
  throw mismatch(type, text, 'a float does not hold all of its digits', 'Declare the column as numeric().');
}

/** DynamoDB's numbers have 38 digits, and magnitudes from 1e-130 to below 1e126. */
function checkedNumber(type: ColumnType, text: string): string {
  const match = /^-?(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(text);
  const digits = match ? `${match[1]}${match[2]}`.replace(/^0+/, '') : '';
  const significant = digits.replace(/0+$/, '').length;
  const exponent = match ? digits.length - (match[2]?.length ?? 0) + Number(match[3] ?? 0) - 1 : 0;
  if (match && significant <= 38 && (digits === '' || (exponent >= -130 && exponent <= 125))) return text;
  throw new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `${text.slice(0, 60)} is no number that DynamoDB holds: it keeps 38 digits, from 1e-130 to below 1e126, and neither NaN nor infinities.`,
    remedy: 'Cast the column to text, or filter such rows out.',
    facts: { type: type.kind },
  });
}

import { baseType, type ColumnType, MillraceError, shown, textCodec, typeName, type Vector } from '@millrace/core/runtime';
import { inexactNumber } from './json-number.ts';
import type { LandingColumn } from './landing.ts';

/** A value as the text that MySQL reads: bytes as hex, truth as 1 and 0, moments in UTC without saying so. @throws VALUE_UNREPRESENTABLE */
export function fieldText({ type, target }: LandingColumn): (vector: Vector, row: number) => string | null {
  const { print } = textCodec(type);
  const converted = keepsParsedJson(target) ? keptJson : fieldOf(type);
  return (vector, row) => (vector.isNull(row) ? null : converted(print(vector.get(row))));
}

/** The same of the text that Postgres prints. @throws VALUE_UNREPRESENTABLE */
export function fieldOf(type: ColumnType): (text: string) => string {
  switch (baseType(type).kind) {
    case 'bool':
      return (text) => (text === 't' ? '1' : '0');
    case 'bytea':
      return (text) => text.slice(2);
    case 'date':
    case 'timestamp':
      return (text) => (isCommonDate(text) ? text : refuse(type, text));
    case 'timestamptz':
      return (text) => (isCommonDate(text) ? text.slice(0, -3) : refuse(type, text));
    case 'float4':
      // The shortest text of the greatest float is a double beyond it, by which MySQL judges.
      return (text) => (/[aI]/.test(text) ? refuse(type, text) : text.replace('3.4028235e+38', '3.4028234663852886e+38'));
    case 'float8':
    case 'numeric':
      return (text) => (/[aI]/.test(text) ? refuse(type, text) : text);
    default:
      return (text) => text;
  }
}

/** MySQL's own `json`; that of MariaDB is text. */
export const keepsParsedJson = ({ dataType }: LandingColumn['target']): boolean => dataType === 'json';

function keptJson(text: string): string {
  const changed = inexactNumber(text);
  if (changed === null) return text;
  throw new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `A JSON value has the number ${shown(changed)}, of which MySQL would keep fewer digits.`,
    remedy: 'Declare the target column as text(), or write the number as a string.',
  });
}

/** Four digits of a year, and no BC behind it. */
const isCommonDate = (text: string): boolean => text.charCodeAt(4) === 45 && text.charCodeAt(text.length - 1) <= 57;

export function refuse(type: ColumnType, text: string): never {
  throw new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `${shown(text)} exists in ${typeName(type)}, and MySQL has no such value.`,
    remedy: 'Declare the target column as text(), or change the value on the way with map() or cast().',
    facts: { type: typeName(type) },
  });
}

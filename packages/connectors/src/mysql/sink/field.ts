import { baseType, type ColumnType, MillraceError, shown, textCodec, typeName, type Vector } from '@millrace/core/runtime';

/** A value as the text that MySQL reads: bytes as hex, truth as 1 and 0, moments in UTC without saying so. @throws VALUE_UNREPRESENTABLE */
export function fieldText(type: ColumnType): (vector: Vector, row: number) => string | null {
  const { print } = textCodec(type);
  const converted = fieldOf(type);
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

/** Four digits of a year, and no BC behind it. */
const isCommonDate = (text: string): boolean => text.charCodeAt(4) === 45 && text.charCodeAt(text.length - 1) <= 57;

export function refuse(type: ColumnType, text: string): never {
  throw new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `${shown(text)} exists in ${typeName(type)}, and MySQL has no such value.`,
    remedy: 'Declare the target column as text(), or change the value on the way with map() or cast().',
    facts: { type: typeName(type) },
  });
}

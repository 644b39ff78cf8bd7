import { baseType, type ColumnBatch, type ColumnType, isUnchanged, textCodec } from '@millrace/core/runtime';

/** Prints rows of a batch as JSON objects of some of their columns, values as JSON Lines have them: see `duckdb/types.ts`. */
export function imagePrinter(batch: ColumnBatch): (row: number, columns: ReadonlySet<string> | null) => string {
  const printers = batch.schema.columns.map(({ name, type }) => ({ name, key: JSON.stringify(name), print: jsonPrinter(type) }));
  return (row, columns) => {
    const fields: string[] = [];
    for (const [place, { name, key, print }] of printers.entries()) {
      const vector = batch.vectors[place]!;
      if ((columns && !columns.has(name)) || isUnchanged(vector, row)) continue;
      fields.push(`${key}:${vector.isNull(row) ? 'null' : print(vector.get(row))}`);
    }
    return `{${fields.join(',')}}`;
  };
}

function jsonPrinter(type: ColumnType): (value: unknown) => string {
  const { print } = textCodec(type);
  const base = baseType(type);
  switch (base.kind) {
    case 'bool':
      return (value) => (print(value) === 't' ? 'true' : 'false');
    case 'int2':
    case 'int4':
    case 'int8':
      return print;
    case 'float4':
    case 'float8':
      // JSON has no word for these, and a reader turns the integer -0 into 0.
      return (value) => number(print(value), (text) => (text === '-0' ? '-0.0' : text));
    case 'numeric':
      // Readers keep 15 digits of a number: they go through a double.
      return (value) => number(print(value), (text) => (text.replace(/\D/g, '').length <= 15 ? text : JSON.stringify(text)));
    default:
      return (value) => JSON.stringify(print(value));
  }
}

const number = (text: string, finite: (text: string) => string): string => (/[Ny]$/.test(text) ? JSON.stringify(text) : finite(text));

import { baseType, type ColumnBatch, type ColumnType, MillraceError, type RowSchema } from '@millrace/core/runtime';

/** How int8 and numeric are written: as text by default, for most receivers read a JSON number as a double and lose digits. */
export type Numbers = 'text' | 'number';

/**
 * Rows as JSON objects, on one line each:
 *
 * | column                             | JSON                                                     |
 * |------------------------------------|----------------------------------------------------------|
 * | bool, int2, int4, float4, float8   | true, false, a number; NaN and infinities as text         |
 * | int8, numeric                      | text with every digit; a number with `numbers: 'number'`  |
 * | json, jsonb                        | as it is                                                  |
 * | arrays                             | lists                                                     |
 * | bytea                              | text, `\x` and hex digits                                 |
 * | everything else                    | text                                                      |
 */
export function rowTexts(schema: RowSchema, numbers: Numbers): (batch: ColumnBatch) => Generator<string, void, undefined> {
  const columns = schema.columns.map(({ name, type }) => ({ name: `${JSON.stringify(name)}:`, write: writerOf(type, numbers) }));
  return function* (batch) {
    for (let row = 0; row < batch.rowCount; row++) {
      let text = '{';
      for (const [at, { name, write }] of columns.entries()) {
        const value = batch.vectors[at]!.get(row);
        text += (at === 0 ? '' : ',') + name + (value === null ? 'null' : write(value));
      }
      yield `${text}}`;
    }
  };
}

type Write = (value: unknown) => string;

function writerOf(type: ColumnType, numbers: Numbers): Write {
  const base = baseType(type);
  switch (base.kind) {
    case 'bool':
      return (value) => (value ? 'true' : 'false');
    case 'int2':
    case 'int4':
    case 'float4':
    case 'float8':
      return (value) => (Object.is(value, -0) ? '-0' : Number.isFinite(value) ? String(value) : `"${value}"`);
    case 'int8':
    case 'numeric':
      return (value) => (numbers === 'number' && !/[a-z]/i.test(String(value)) ? String(value) : `"${value}"`);
    case 'json':
    case 'jsonb':
      // A line break can only stand between values.
      return (value) => (value as string).replace(/[\r\n]+/g, ' ');
    case 'bytea':
      return (value) => JSON.stringify(`\\x${Buffer.from(value as Uint8Array).toString('hex')}`);
    case 'array': {
      const item = writerOf(base.of, numbers);
      const list: Write = (value) =>
        `[${(value as readonly unknown[]).map((one) => (one === null ? 'null' : Array.isArray(one) ? list(one) : item(one))).join(',')}]`;
      return list;
    }
    default:
      return (value) => JSON.stringify(value);
  }
}

/** Rows in the body of a request: a list, JSON Lines, a row alone, or a list under a name. */
export type PostBody = 'list' | 'lines' | 'row' | { readonly list: string };

export function bodyOf(rows: readonly string[], body: PostBody): { readonly text: string; readonly type: string } {
  if (typeof body === 'object') return { text: `{${JSON.stringify(body.list)}:[${rows.join(',')}]}`, type: 'application/json' };
  switch (body) {
    case 'list':
      return { text: `[${rows.join(',')}]`, type: 'application/json' };
    case 'lines':
      return { text: `${rows.join('\n')}\n`, type: 'application/x-ndjson' };
    case 'row':
      if (rows.length !== 1)
        throw new MillraceError('INTERNAL', { message: 'A body of one row was given more.', remedy: 'Please report it.' });
      return { text: rows[0]!, type: 'application/json' };
    default:
      return body satisfies never;
  }
}

import { type ColumnBatch, inColumn } from '@millrace/core/runtime';
import { literal } from '../literal.ts';
import { fieldText } from './field.ts';
import type { Landing } from './landing.ts';

/** Bytes of a statement from which on the next row begins another. */
const statementBytes = 512 * 1024;

/** Statements that insert the rows of batches, for servers that take no LOAD DATA LOCAL. */
export function insertStatements(
  table: string,
  { columns }: Landing,
  maxPacket: number,
): (batch: ColumnBatch) => Generator<string, void, undefined> {
  const texts = columns.map(fieldText);
  const head = `INSERT INTO ${table} (${columns.map(({ quoted }) => quoted).join(', ')}) VALUES `;
  const most = Math.min(statementBytes, maxPacket / 4);
  return function* ({ vectors, rowCount }) {
    let rows: string[] = [];
    let bytes = 0;
    for (let row = 0; row < rowCount; row++) {
      const values = columns.map(({ name, place, made }, at) => {
        try {
          const text = texts[at]!(vectors[place]!, row);
          return text === null ? 'NULL' : made === null ? literal(text) : made.replace('@', () => literal(text));
        } catch (error) {
          throw inColumn(name, error);
        }
      });
      const tuple = `(${values.join(', ')})`;
      rows.push(tuple);
      bytes += tuple.length;
      if (bytes >= most) {
        yield head + rows.join(', ');
        rows = [];
        bytes = 0;
      }
    }
    if (rows.length > 0) yield head + rows.join(', ');
  };
}

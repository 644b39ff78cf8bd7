import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BytesChannel, Context } from '@millrace/core/runtime';
import { spoolName } from '../duckdb/conversion.ts';
import { literal } from '../duckdb/sql.ts';
import { canonicalCsv, checkCut, checkedNull, type StampedFile, Workshop } from './convert.ts';
import type { TableReading } from './read-file.ts';

export interface TableAt {
  readonly table: TableReading;
  readonly load: readonly StampedFile[];
  /** Every file of changes up to the moment, in whatever order. `isAfter`: written after the load began; what older ones say the load knows. */
  readonly changes: readonly (StampedFile & { readonly isAfter: boolean })[];
  readonly lobKilobytes: number;
}

/**
 * A table as it was when all the files given had been written: the full load, and of each row that has changed since the last that is known of
 * it. Without changes, the rows of the load as they are.
 */
export async function tableAt({ table, load, changes, lobKilobytes }: TableAt, context: Context): Promise<BytesChannel> {
  const output = join(context.spool, spoolName('table', '.csv'));
  const rows = await convert(output);
  const stream = createReadStream(output, { highWaterMark: 256 * 1024 });
  stream.once('close', () => void rm(output, { force: true }));
  const done = new Promise<{ rows: number }>((resolve, reject) => {
    stream.once('end', () => resolve({ rows }));
    stream.once('error', reject);
  });
  done.catch(() => {});
  return { format: 'csv', schema: table.schema, stream, done };

  async function convert(path: string): Promise<number> {
    await using work = await Workshop.open(context);
    await work.fill('l', table, load);
    await checkCut(work.duckdb, 'l', table, lobKilobytes, load);
    let from = 'SELECT * FROM l';
    if (changes.length > 0) {
      await work.fill('n', table, changes);
      await checkCut(work.duckdb, 'n', table, lobKilobytes, changes);
      const keys = (table.schema.key ?? []).map((name) => `c${table.schema.columns.findIndex((column) => column.name === name)}`);
      const after = changes.flatMap(({ isAfter }, file) => (isAfter ? [file] : []));
      const latest = `SELECT * FROM n QUALIFY row_number() OVER (PARTITION BY ${keys.join(', ')} ORDER BY seq DESC, stamp DESC, nr DESC) = 1`;
      await work.duckdb.run(`CREATE TEMP TABLE s AS SELECT * FROM (${latest}) WHERE file IN (${[-1, ...after].join(', ')})`);
      const same = keys.map((key) => `s.${key} = l.${key}`).join(' AND ');
      from = `SELECT * FROM l WHERE NOT EXISTS (SELECT 1 FROM s WHERE ${same}) UNION ALL SELECT * FROM s WHERE op <> 'D'`;
    }
    const columns = table.schema.columns.map((column, index) => checkedNull(column, index)).join(', ');
    const result = await work.duckdb.run(`COPY (SELECT ${columns} FROM (${from})) TO ${literal(path)} ${canonicalCsv}`);
    return Number(result[0]?.[0] ?? 0);
  }
}

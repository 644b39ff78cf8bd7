import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type ColumnSchema, MillraceError, type RowSchema } from '@millrace/core/runtime';
import { filesToCsv, type InputFile } from '../duckdb/index.ts';
import type { Session } from '../postgres/client.ts';
import { quoteIdentifier, quoteName } from '../postgres/identifier.ts';
import { copyPart } from '../postgres/sink/copy-part.ts';
import { landingOf } from '../postgres/sink/landing.ts';
import { prepareTable } from '../postgres/sink/prepare-table.ts';
import { readTable } from '../postgres/sink/read-table.ts';
import { ordinal, stagingTable } from '../postgres/sink/staged-rows.ts';
import { manifestKey } from '../s3/manifest.ts';
import { postgresWarehouseLedger } from './ledger.ts';
import type { CopySettings, Landed, Landing, Warehouse, WarehouseTable } from './warehouse.ts';

/** A plain Postgres in Redshift's place: this process reads the files that Redshift would COPY. */
export const onPostgres: Warehouse = {
  kind: 'postgres',
  ledger: postgresWarehouseLedger,
  prepare,
  land,
  // Types without an equality of their own are compared as they print.
  comparable: (type, reference) => (hasEquality(type) ? reference : `${reference}::text`),
};

const hasEquality = (type: string): boolean => !/^(json|xml|point|line|lseg|box|path|polygon|circle)\b/.test(type);

async function prepare(session: Session, settings: CopySettings): Promise<WarehouseTable> {
  const table = await prepareTable(session, settings);
  return {
    quoted: quoteName(table),
    columns: new Map(table.columns.filter(({ generated }) => !generated).map(({ name, sqlType }) => [name, sqlType])),
  };
}

/** DuckDB opens so many files in one statement; a load by day over years has thousands. */
const filesAtOnce = 64;

async function land({ session, context, settings, manifest, storage, name, schema }: Landing): Promise<Landed> {
  const real = await readTable(session, settings.table.name);
  if (!real)
    throw new MillraceError('TABLE_MISSING', {
      message: `There is no table ${settings.table.name} any more.`,
      remedy: 'Look for somebody who drops it.',
    });
  const wanted = new Set(schema.columns.map((column) => column.name));
  const columns: ColumnSchema[] = manifest.schema.columns.filter((column) => wanted.has(column.name));
  const landing = landingOf(columns, real);
  const quoted = quoteIdentifier(name);
  await session.execute(stagingTable(quoted, landing, { persistence: 'SESSION', notNull: new Set() }));
  const into = { session, table: quoted, object: settings.table.name, progress: context.progress };
  const read: RowSchema = { columns };
  let rows = 0;
  for (let at = 0; at < manifest.files.length; at += filesAtOnce) {
    const files: InputFile[] = [];
    const fetched: string[] = [];
    try {
      for (const [index, file] of manifest.files.slice(at, at + filesAtOnce).entries()) {
        const copy = join(context.spool, `${name}-${at + index}`);
        const path = await storage.fetch({ key: file.key, etag: file.etag, size: file.bytes }, copy);
        if (path === copy) fetched.push(copy);
        files.push({
          path,
          label: storage.url + file.key,
          format: manifest.format,
          codec: manifest.codec === 'snappy' ? 'none' : manifest.codec,
        });
      }
      const channel = await filesToCsv({ files, schema: read, absorbed: [] }, { ...context, progress: () => {} });
      rows += (await copyPart(into, channel, null)).rows;
    } finally {
      await Promise.all(fetched.map((path) => unlink(path).catch(() => {})));
    }
  }
  if (rows !== manifest.rows) {
    const url = storage.url + manifestKey(manifest.sequence);
    throw new MillraceError('MANIFEST_MISMATCH', {
      message: `The files of ${url} hold ${rows} rows, and it lists ${manifest.rows}.`,
      remedy: 'Look for somebody who changes the files under the prefix.',
      facts: { manifest: url, listed: manifest.rows, loaded: rows },
    });
  }
  const values = landing.columns.flatMap(({ name: column, value }) => (value === null ? [] : [[column, value] as const]));
  return { rows, table: quoted, values: new Map(values), newestFirst: ordinal };
}

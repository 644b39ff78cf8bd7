import { createReadStream } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { baseType, type ColumnSchema, MillraceError, type Table } from '@millrace/core/runtime';
import type { Session } from '../../postgres/client.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { copyPart } from '../../postgres/sink/copy-part.ts';
import { landingOf } from '../../postgres/sink/landing.ts';
import { prepareTable } from '../../postgres/sink/prepare-table.ts';
import { readTable } from '../../postgres/sink/read-table.ts';
import { sqlType } from '../../postgres/sink/sql-type.ts';
import { postgresWarehouseLedger } from '../ledger.ts';
import type { LandChanges, LandedChanges, MirrorTable, MirrorWarehouse } from './mirror-warehouse.ts';
import type { MirrorSettings } from './settings.ts';
import { stagedColumns } from './staged-rows.ts';
import { withoutHeader } from './staging-area.ts';

/** A plain Postgres in Redshift's place: this process reads the files that Redshift would COPY. */
export const mirrorOnPostgres: MirrorWarehouse = {
  kind: 'postgres',
  ledger: postgresWarehouseLedger,
  columns: {
    type: typeOf,
    value: (column, text) => `CAST(${text} AS ${typeOf(column)})`,
    retype: (table, column, to) => {
      const name = quoteIdentifier(column);
      return [`ALTER TABLE ${table} ALTER COLUMN ${name} TYPE ${typeOf(to)} USING CAST(${name} AS ${typeOf(to)})`];
    },
  },
  prepare,
  columnsOf,
  land,
};

/** Redshift has no types of one's own, and a column that comes later has none here either. */
function typeOf({ type }: Pick<ColumnSchema, 'type'>): string {
  const base = baseType(type);
  return base.kind === 'enum' ? 'text' : sqlType(base);
}

async function prepare(session: Session, { connection, create }: MirrorSettings, table: Table): Promise<void> {
  await prepareTable(session, {
    connection,
    table,
    mode: 'merge',
    schema: create ? 'create' : 'strict',
    history: null,
    closeMissing: false,
  });
}

async function columnsOf(session: Session, { text }: MirrorTable): Promise<ReadonlyMap<string, string> | null> {
  const real = await readTable(session, text);
  return real && new Map(real.columns.filter(({ generated }) => !generated).map(({ name, type }) => [name, typeOf({ type })]));
}

async function land({ session, context, area, table, files, schema, name }: LandChanges): Promise<LandedChanges> {
  const real = await readTable(session, table.text);
  if (!real) {
    throw new MillraceError('TABLE_MISSING', {
      message: `There is no table ${table.quoted} any more.`,
      remedy: 'Look for somebody who drops it, and copy it again with "millrace resync".',
      facts: { table: table.quoted },
    });
  }
  const own = new Set(stagedColumns.map((column) => column.name));
  const there = new Set(real.columns.map((column) => column.name));
  const rows = schema.columns.filter((column) => !own.has(column.name));
  const landing = landingOf(
    rows.filter((column) => there.has(column.name)),
    real,
  );
  const types = new Map(landing.columns.map((column) => [column.name, column.sqlType]));
  // A column that the policy left out of the table lands as the text that it is.
  const lines = schema.columns.map(
    (column) => `${quoteIdentifier(column.name)} ${own.has(column.name) ? sqlType(column.type) : (types.get(column.name) ?? 'text')}`,
  );
  const quoted = quoteIdentifier(name);
  await session.execute(`CREATE TEMP TABLE ${quoted} (${lines.join(', ')})`);
  const into = { session, table: quoted, object: table.quoted, progress: () => {} };
  let count = 0;
  for (const [index, file] of files.entries()) {
    const copy = join(context.spool, `${name}-${index}.gz`);
    const path = await area.storage.fetch({ key: file.key, etag: file.etag, size: file.bytes }, copy);
    try {
      const text = createReadStream(path).pipe(createGunzip());
      const stream = Readable.from(withoutHeader(text as AsyncIterable<Buffer>), { objectMode: false, highWaterMark: 512 * 1024 });
      count += (await copyPart(into, { format: 'csv', schema, stream, done: Promise.resolve({ rows: file.rows }) }, null)).rows;
    } finally {
      if (path === copy) await unlink(copy).catch(() => {});
    }
  }
  await session.execute(`ANALYZE ${quoted}`);
  const values = landing.columns.flatMap((column) => (column.value === null ? [] : [[column.name, column.value] as const]));
  return { rows: count, values: new Map(values) };
}

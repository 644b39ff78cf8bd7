import { type ColumnSchema, MillraceError, type Table } from '@millrace/core/runtime';
import type { Session } from '../../postgres/client.ts';
import { landed, redshiftType } from '../column-type.ts';
import { copyStatement } from '../copy-statement.ts';
import { redshiftLedger } from '../ledger.ts';
import { quote } from '../name.ts';
import { columnsOf as catalogColumns, onRedshift, roleOf } from '../on-redshift.ts';
import type { LandChanges, LandedChanges, MirrorTable, MirrorWarehouse } from './mirror-warehouse.ts';
import type { MirrorSettings } from './settings.ts';
import { stagedColumns } from './staged-rows.ts';

/** Redshift itself: its slices read the staged files, this process only sends SQL. */
export const mirrorOnRedshift: MirrorWarehouse = {
  kind: 'redshift',
  ledger: redshiftLedger,
  columns: { type: ({ type }) => redshiftType(type), value: literalValue, retype },
  prepare,
  columnsOf,
  land,
};

function literalValue(column: ColumnSchema, text: string): string {
  const landing = landed(column, 'csv');
  return landing ? landing.value(`CAST(${text} AS ${landing.type})`) : `CAST(${text} AS ${redshiftType(column.type)})`;
}

/** Redshift changes no type within a transaction; a column of the new type takes the place of the old one. */
function retype(table: string, column: string, to: ColumnSchema): string[] {
  const next = quote('__millrace_retyped');
  const type = redshiftType(to.type);
  return [
    `ALTER TABLE ${table} ADD COLUMN ${next} ${type}`,
    `UPDATE ${table} SET ${next} = CAST(${quote(column)} AS ${type})`,
    `ALTER TABLE ${table} DROP COLUMN ${quote(column)}`,
    `ALTER TABLE ${table} RENAME COLUMN ${next} TO ${quote(column)}`,
  ];
}

async function prepare(session: Session, settings: MirrorSettings, table: Table): Promise<void> {
  const { connection, copyRole, region, staging, create } = settings;
  await onRedshift.prepare(session, {
    connection,
    copyRole,
    region,
    store: staging.settings,
    table,
    mode: 'merge',
    schema: create ? 'create' : 'strict',
    history: null,
    closeMissing: false,
  });
}

async function columnsOf(session: Session, { name }: MirrorTable): Promise<ReadonlyMap<string, string> | null> {
  const columns = await catalogColumns(session, name.schema, name.name);
  return columns.length === 0 ? null : new Map(columns.map((column) => [column.name, column.sqlType]));
}

async function land({ session, context, settings, area, table, files, schema, name }: LandChanges): Promise<LandedChanges> {
  if (!area.storage.url.startsWith('s3://')) {
    throw new MillraceError('UNSUPPORTED', {
      message: `Redshift reads files from S3 only, and changes are staged at ${area.storage.url}.`,
      remedy: 'Give apply() a staging place at s3://bucket/prefix.',
    });
  }
  const values = new Map<string, string>();
  const lines = schema.columns.map((column) => {
    const { type, value } = landed(column, 'csv') ?? { type: redshiftType(column.type), value: (c: string) => c };
    if (!stagedColumns.some((own) => own.name === column.name)) values.set(column.name, value(quote(column.name)));
    return `${quote(column.name)} ${type}`;
  });
  const quoted = quote(name);
  await session.execute(`CREATE TEMP TABLE ${quoted} (${lines.join(', ')})`);
  if (files.length === 0) return { rows: 0, values };
  const role = await roleOf(settings, context);
  const key = await area.list(files);
  const manifest = area.storage.url + key;
  try {
    await session.execute(
      copyStatement({ into: quoted, manifest, format: 'csv', codec: 'gzip', role, region: settings.region }),
      [],
      `${table.quoted} from ${manifest}`,
    );
  } finally {
    await area.tidy([{ key }]);
  }
  const [row] = await session.query('SELECT pg_last_copy_count() AS rows');
  return { rows: Number(row?.['rows'] ?? 0), values };
}

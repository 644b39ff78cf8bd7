import { type Context, MillraceError } from '@millrace/core/runtime';
import type { Session } from '../postgres/client.ts';
import { manifestKey } from '../s3/manifest.ts';
import { landed, redshiftType } from './column-type.ts';
import { copyStatement, isRole } from './copy-statement.ts';
import { createStatements } from './create.ts';
import { additions, differences, driftError, type RealColumn } from './drift.ts';
import { redshiftLedger } from './ledger.ts';
import { quote, quoteTable, tableName } from './name.ts';
import type { CopySettings, Landed, Landing, Warehouse, WarehouseTable } from './warehouse.ts';

/** Redshift itself: its slices read the files, this process only sends SQL. */
export const onRedshift: Warehouse = {
  kind: 'redshift',
  ledger: redshiftLedger,
  prepare,
  land,
  comparable: (type, reference) => (type === 'super' ? `JSON_SERIALIZE(${reference})` : reference),
};

async function prepare(session: Session, settings: CopySettings): Promise<WarehouseTable> {
  const { table, schema, history } = settings;
  const name = tableName(table.name);
  const quoted = quoteTable(name);
  let real = await columnsOf(session, name.schema, name.name);
  if (real.length === 0) {
    if (schema === 'strict') {
      throw new MillraceError('TABLE_MISSING', {
        message: `There is no table ${table.name} in the warehouse to load into.`,
        remedy: `Create it, or load with schema: 'create' to have it made from the table() declaration.`,
        facts: { table: table.name },
      });
    }
    for (const statement of createStatements(table, history)) await session.execute(statement, [], table.name);
    real = await columnsOf(session, name.schema, name.name);
  }
  const wrong = differences(table, real, history);
  if (schema === 'evolve') {
    for (const statement of additions(quoted, wrong)) await session.execute(statement, [], table.name);
    if (wrong.length > 0) real = await columnsOf(session, name.schema, name.name);
  }
  const left = schema === 'evolve' ? differences(table, real, history) : wrong;
  if (left.length > 0) throw driftError(table, left);
  return { quoted, columns: new Map(real.map((column) => [column.name, column.sqlType])) };
}

export async function columnsOf(session: Session, schema: string, table: string): Promise<RealColumn[]> {
  const rows = await session.query(
    `SELECT column_name AS name, data_type AS type, character_maximum_length AS length, numeric_precision AS precision, numeric_scale AS scale, is_nullable AS nullable, column_default AS preset
       FROM svv_columns WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position`,
    [schema, table],
  );
  return rows.map((row) => ({
    name: row['name'] as string,
    sqlType: printedType(row['type'] as string, row['length'] ?? null, row['precision'] ?? null, row['scale'] ?? null),
    notNull: row['nullable'] === 'NO',
    hasDefault: (row['preset'] ?? null) !== null,
  }));
}

/** A type of the catalog as `redshiftType` writes it. */
export function printedType(type: string, length: string | null, precision: string | null, scale: string | null): string {
  switch (type) {
    case 'character varying':
      return `varchar(${length ?? 256})`;
    case 'character':
      return `char(${length ?? 1})`;
    case 'numeric':
      return `numeric(${precision ?? 18},${scale ?? 0})`;
    case 'binary varying':
      return `varbyte(${length ?? 64_000})`;
    case 'timestamp without time zone':
      return 'timestamp';
    case 'timestamp with time zone':
      return 'timestamptz';
    case 'time without time zone':
      return 'time';
    case 'time with time zone':
      return 'timetz';
    default:
      return type;
  }
}

async function land({ session, context, settings, table, manifest, storage, name, schema }: Landing): Promise<Landed> {
  const url = storage.url + manifestKey(manifest.sequence);
  if (!url.startsWith('s3://')) {
    throw new MillraceError('UNSUPPORTED', {
      message: `Redshift reads files from S3 only, and these are at ${storage.url}.`,
      remedy: 'Load into s3://bucket/prefix first, in the region of the cluster.',
    });
  }
  const wanted = new Set(schema.columns.map((column) => column.name));
  const values = new Map<string, string>();
  const lines = manifest.schema.columns.map((column) => {
    const landing = landed(column, manifest.format);
    if (!landing) {
      throw new MillraceError('UNSUPPORTED', {
        message: `Redshift cannot COPY the column "${column.name}" (${redshiftType(column.type)}) from Parquet.`,
        remedy: `Write these files as CSV, or cast({ "${column.name}": text() }) before them.`,
        facts: { column: column.name },
      });
    }
    if (wanted.has(column.name)) values.set(column.name, landing.value(quote(column.name)));
    return `${quote(column.name)} ${landing.type}`;
  });
  const quoted = quote(name);
  await session.execute(`CREATE TEMP TABLE ${quoted} (${lines.join(', ')})`);
  // COPY takes a manifest without files for an error.
  if (manifest.files.length > 0) {
    const role = await roleOf(settings, context);
    const { format, codec } = manifest;
    await session.execute(
      copyStatement({ into: quoted, manifest: url, format, codec, role, region: settings.region }),
      [],
      `${table.quoted} from ${url}`,
    );
  }
  const [row] = await session.query(manifest.files.length > 0 ? 'SELECT pg_last_copy_count() AS rows' : 'SELECT 0 AS rows');
  const rows = Number(row?.['rows'] ?? 0);
  if (rows !== manifest.rows) {
    throw new MillraceError('MANIFEST_MISMATCH', {
      message: `COPY has loaded ${rows} rows of ${url}, which lists ${manifest.rows}.`,
      remedy: 'Look at SYS_LOAD_ERROR_DETAIL in the warehouse, and for somebody who changes the files under the prefix.',
      facts: { manifest: url, listed: manifest.rows, loaded: rows },
    });
  }
  return { rows, table: quoted, values, newestFirst: null };
}

/** The role with which the cluster reads files. @throws CONFIG_INVALID, SECRET_MISSING */
export async function roleOf({ copyRole }: Pick<CopySettings, 'copyRole'>, context: Pick<Context, 'secret'>): Promise<string> {
  const role = copyRole === null ? 'default' : typeof copyRole === 'string' ? copyRole : await context.secret(copyRole);
  if (isRole(role)) return role;
  throw new MillraceError('CONFIG_INVALID', {
    message: 'copyRole is not the ARN of an IAM role.',
    remedy: 'Set it to arn:aws:iam::…:role/…, or to "default" for the default role of the cluster.',
  });
}

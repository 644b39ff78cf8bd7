import { MillraceError, type RowSchema, type Setting, type Table } from '@millrace/core/runtime';
import type { SessionSettings } from '../../postgres/client.ts';
import type { Roll, RollOptions } from '../../s3/changelog/roll.ts';
import type { FileConnection } from '../../s3/connection.ts';
import type { FilePlace } from '../../s3/target.ts';
import { type TableName, tableName } from '../name.ts';

export interface ApplyOptions {
  /** The schema of the target tables; each table's own at the source where it is left out. */
  readonly schema?: string;
  /** Where changes are staged as files, which COPY reads: `s3({ url })`. On a laptop files on this machine will do. */
  readonly staging: FileConnection;
  /** Under the staging place. `_millrace/staging/` by default. */
  readonly prefix?: string;
  /** `mirror` (default) keeps each table as it is at the source. `soft-delete` keeps deleted rows, with the time of their end in `_deleted_at`. */
  readonly mode?: MirrorMode;
  /** When what has come goes to the warehouse: `{ every: '1m', size: '64MB' }` by default. */
  readonly roll?: RollOptions;
  /** By a table's name in the pipeline: what it is called here, with or without a schema. */
  readonly tables?: Readonly<Record<string, { readonly name?: string }>>;
  /** Makes tables that are missing, true by default; columns that change at the source are the business of the pipeline's policy. */
  readonly create?: boolean;
}

export type MirrorMode = 'mirror' | 'soft-delete';

/** A target's options, with their defaults filled in. */
export interface MirrorSettings {
  readonly connection: SessionSettings;
  readonly copyRole: Setting | null;
  readonly region: string | null;
  readonly staging: FilePlace;
  readonly prefix: string;
  readonly schema: string | null;
  readonly names: Readonly<Record<string, string>>;
  readonly mode: MirrorMode;
  readonly roll: Roll;
  readonly create: boolean;
}

/** The column of `soft-delete`: when the row was deleted, NULL while it is there. */
export const deletedAt = '_deleted_at';

/** The name of a table here. */
export function targetName({ schema, names }: Pick<MirrorSettings, 'schema' | 'names'>, table: string, rows: RowSchema): TableName {
  const declared = (rows as Partial<Table>).name;
  const given = Object.hasOwn(names, table) ? names[table] : undefined;
  const named = tableName(given ?? declared ?? table);
  const own =
    given !== undefined && hasSchema(given) ? named.schema : (schema ?? (declared === undefined ? 'public' : tableName(declared).schema));
  return { schema: own, name: named.name };
}

const hasSchema = (name: string): boolean => tableName(name).schema !== 'public' || /^"?public"?\./.test(name);

/** The table as it is to be made, with what the mode keeps beside the rows. */
export function targetTable({ mode }: Pick<MirrorSettings, 'mode'>, name: string, rows: RowSchema): Table {
  const end = { name: deletedAt, type: { kind: 'timestamptz' }, nullable: true } as const;
  const { redshift } = rows as Partial<Table>;
  return {
    kind: 'table',
    name,
    declared: {},
    columns: mode === 'mirror' ? rows.columns : [...rows.columns, end],
    ...(rows.key && { key: rows.key }),
    ...(redshift && { redshift }),
  };
}

export function keyOf(table: string, rows: RowSchema, otherwise?: RowSchema): readonly string[] {
  const key = rows.key ?? otherwise?.key ?? [];
  if (key.length > 0) return key;
  throw new MillraceError('UNSUPPORTED', {
    message: `"${table}" has no key, and a warehouse finds the rows that change by their keys only.`,
    remedy: 'Give the table() declaration a key, or leave the table out of the capture.',
    facts: { table },
  });
}

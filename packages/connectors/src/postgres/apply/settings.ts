import type { StreamTable } from '@millrace/core/runtime';
import type { SessionSettings } from '../client.ts';
import { parseName, type QualifiedName, showName } from '../identifier.ts';

export interface ApplyOptions {
  /** The schema of the target tables; each table's own at the source where it is left out. */
  readonly schema?: string;
  /**
   * `mirror` (default) keeps each table as it is at the source. `soft-delete` keeps deleted rows, with the time of their end in
   * `_deleted_at`. `history` keeps every version that a transaction has left, with the time from and until which it was the current one.
   */
  readonly mode?: ApplyMode;
  /** By a table's name in the pipeline: what it is called here, with or without a schema. */
  readonly tables?: Readonly<Record<string, { readonly name?: string }>>;
  /**
   * What becomes of a change that a table refuses (a constraint, a value out of range): `stop` (default) the stream, with nothing of its
   * transaction applied, or set it aside as a `dead-letter` in `_millrace.dead_letter` and go on.
   */
  readonly poison?: 'stop' | 'dead-letter';
  /** Makes tables that are missing, true by default; columns that change at the source are the business of the pipeline's policy. */
  readonly create?: boolean;
}

export type ApplyMode = 'mirror' | 'soft-delete' | 'history';

/** A target's options, with their defaults filled in. */
export interface ApplySettings {
  readonly connection: SessionSettings & { readonly maxConnections?: number };
  readonly schema: string | null;
  readonly mode: ApplyMode;
  readonly names: Readonly<Record<string, string>>;
  readonly poison: 'stop' | 'dead-letter';
  readonly create: boolean;
}

/** Columns that the modes keep beside those of the rows. */
export const deletedAt = '_deleted_at';
export const history = { validFrom: 'valid_from', validTo: 'valid_to', isCurrent: 'is_current' } as const;
/** Where in the stream a version comes from; empty for one that was copied. */
export const versionPosition = '_position';

export const extraColumns: Readonly<Record<ApplyMode, readonly string[]>> = {
  mirror: [],
  'soft-delete': [deletedAt],
  history: [...Object.values(history), versionPosition],
};

/** The name of a table here, as `parseName` reads it. */
export function targetName(settings: Pick<ApplySettings, 'schema' | 'names'>, table: string, schema: StreamTable): string {
  const given = Object.hasOwn(settings.names, table) ? settings.names[table] : undefined;
  const named: QualifiedName = parseName(given ?? schema.name ?? table);
  if (given !== undefined && named.schema !== null) return showName(named);
  return showName({ schema: settings.schema ?? named.schema ?? sourceSchema(schema), name: named.name });
}

const sourceSchema = ({ name }: StreamTable): string | null => (name === undefined ? null : parseName(name).schema);

import type { StreamTable } from '@millrace/core/runtime';
import { parseName, type QualifiedName, showName } from '../identifier.ts';
import type { SourceSettings } from '../source.ts';

export interface MysqlApplyOptions {
  /** The database of the target tables; that of the connection where it is left out. */
  readonly database?: string;
  /** By a table's name in the pipeline: what it is called here, with or without a database. */
  readonly tables?: Readonly<Record<string, { readonly name?: string }>>;
  /** Makes tables that are missing, true by default; columns that change at the source are the business of the pipeline's policy. */
  readonly create?: boolean;
}

/** A target's options, with their defaults filled in. */
export interface ApplySettings {
  readonly connection: SourceSettings;
  readonly database: string | null;
  readonly names: Readonly<Record<string, string>>;
  readonly create: boolean;
}

/** The name of a table here, as `parseName` reads it. A schema of the source is none of the target. */
export function targetName(settings: Pick<ApplySettings, 'database' | 'names'>, table: string, schema: StreamTable): string {
  const given = Object.hasOwn(settings.names, table) ? settings.names[table] : undefined;
  const named: QualifiedName = parseName(given ?? schema.name ?? table);
  if (given !== undefined && named.database !== null) return showName(named);
  return showName({ database: settings.database, name: named.name });
}

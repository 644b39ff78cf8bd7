import type { MillraceError } from '../error/index.ts';
import type { Table } from '../schema/index.ts';
import type { CaptureSource } from './change.ts';
import type { Context } from './context.ts';
import type { TaskRunner } from './database-task.ts';
import type { Selection } from './source.ts';
import type { SqlRunner } from './sql.ts';

/** A system that pipelines talk to, as the pipeline file declares it. It holds settings, no socket. */
export interface Connection {
  readonly kind: 'connection';
  readonly connector: string;
  /** For plans and messages: host and database, or the secret's name. Never a password. */
  readonly label: string;
  /** Connections that may read from it at once, also where many workers do; without a limit where it is left out. */
  readonly maxConnections?: number;
  /** Looks at the system: reachable, privileges, settings. One finding each, with its remedy where it is not well. */
  examine(context: Context): Promise<readonly Finding[]>;
}

export interface Finding {
  readonly subject: string;
  readonly level: 'ok' | 'warning' | 'problem';
  readonly message: string;
  readonly remedy?: string;
  /** What looking itself failed with, so that nothing else is known: the server was away, say. */
  readonly error?: MillraceError;
  /** Does what the remedy says, where that is safe: for `doctor --fix`. Doing it twice does no harm. */
  readonly fix?: () => Promise<void>;
}

/** A connection whose tables can be read. */
export interface TableConnection extends Connection {
  selection(table: Table): Selection;
}

/** A connection whose changes can be captured. `Options` are its own, beside those that every capture has. */
export interface CaptureConnection<in Options = never> extends Connection {
  capture(tables: Readonly<Record<string, Table>>, options: Options): CaptureSource;
}

/** A connection that runs SQL. */
export interface SqlConnection extends Connection {
  readonly dialect: 'postgres' | 'redshift' | 'mysql';
  sql(): SqlRunner;
}

/** A connection to a database that keeps what it is told to have: views, procedures, partitions. */
export interface DatabaseConnection extends SqlConnection {
  tasks(): TaskRunner;
}

/** A connection that can list its tables, for `introspect`. */
export interface IntrospectableConnection extends Connection {
  introspect(
    context: Context,
    options: { readonly schemas?: readonly string[]; readonly tables?: readonly string[] },
  ): Promise<readonly Table[]>;
}

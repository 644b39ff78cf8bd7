import {
  type CaptureConnection,
  type CaptureSource,
  type ChangeTarget,
  type Columns,
  type Context,
  describeSetting,
  type IntrospectableConnection,
  type RowOf,
  type RowSchema,
  type Selection,
  type Setting,
  type SqlConnection,
  type Table,
  type TableConnection,
  type Target,
} from '@millrace/core/runtime';
import type { Kysely } from 'kysely';
import type { NamesOf, RowQuery } from '../postgres/query.ts';
import type { MysqlSslSetting } from './address.ts';
import { applyTarget } from './apply/apply-target.ts';
import type { MysqlApplyOptions } from './apply/settings.ts';
import type { ZeroDates } from './batches.ts';
import { type CapturedRows, captureSource } from './capture/capture.ts';
import type { MysqlCaptureOptions } from './capture/options.ts';
import { examine } from './examine.ts';
import { quoteIdentifier } from './identifier.ts';
import { introspect } from './introspect.ts';
import { queryText } from './query.ts';
import { type Home, selectionOf } from './selection.ts';
import { sqlRunner } from './sink/sql-runner.ts';
import { type MysqlLoadOptions, tableTarget } from './sink/table-target.ts';

export interface MysqlOptions {
  /** `secret('SHOP_URL')`, or `mysql://…` where there is no secret in it. See `parseAddress` for what a URL may hold. */
  readonly url: Setting;
  /** `false` for none, `true` to verify the server's certificate, or options of Node's TLS. Where it is left out, `ssl-mode` of the URL decides, and without that an endpoint of RDS is verified. */
  readonly ssl?: MysqlSslSetting;
  /** Connections that read at once, 4 by default for each stage; what is set here holds for all stages of a fleet together. With 1, splits are read one after another. */
  readonly maxConnections?: number;
  /** What becomes of `0000-00-00` and other dates that are none: `fail` (default) names the first one, `null` reads them as NULL. */
  readonly zeroDates?: ZeroDates;
}

/** A MySQL, MariaDB or Aurora MySQL database: tables and queries to read, tables to load, SQL to run. A frozen value that holds no connection. */
export interface MysqlConnection extends TableConnection, SqlConnection, IntrospectableConnection, CaptureConnection<MysqlCaptureOptions> {
  readonly connector: 'mysql' | 'mariadb';
  readonly dialect: 'mysql';
  selection<C extends Columns>(table: Table<C>): Selection<RowOf<Table<C>>>;
  /** Rows of a query, built with Kysely. `as` names it and says what its columns are; see `postgres()`. */
  query<DB, Row, C extends Columns>(
    build: (db: Kysely<DB>) => RowQuery<Row>,
    options: { readonly as: Table<C> & NamesOf<C, Row> },
  ): Selection<RowOf<Table<C>>>;
  /** A table to load: `load(facts, mirror.table(orders, { mode: 'merge' }))`. */
  table<C extends Columns>(table: Table<C>, options: MysqlLoadOptions): Target<RowOf<Table<C>>, 'rows', 'table'>;
  /** Tables that follow a stream of changes: `load(changes, mirror.apply())`. */
  apply(options?: MysqlApplyOptions): ChangeTarget<unknown>;
  /** Tables whose changes are followed in the binary log; for `capture(shop, { tables: { orders } })`. */
  capture<Tables extends Readonly<Record<string, Table>>>(
    tables: Tables,
    options?: MysqlCaptureOptions,
  ): CaptureSource<CapturedRows<Tables>>;
}

/** A MySQL or Aurora MySQL database. A MariaDB will do too: what a server is, it says itself. */
export const mysql = (options: MysqlOptions): MysqlConnection => connection('mysql', options);

/** A MariaDB database: as `mysql()`, and plans show the statements that MariaDB is given. */
export const mariadb = (options: MysqlOptions): MysqlConnection => connection('mariadb', options);

function connection(connector: MysqlConnection['connector'], options: MysqlOptions): MysqlConnection {
  const settings = Object.freeze({ ...options });
  const label = describeSetting(settings.url);
  const home = (): Home => ({ connector, label, settings, connection: self });
  const own = (): Home => ({ ...home(), settings: { ...settings, own: true } });
  const stored = (name: string, input: RowSchema, current: string | null = null): Selection =>
    selectionOf(own(), { kind: 'relation', name, ...(current !== null && { where: quoteIdentifier(current) }) }, input);
  const self: MysqlConnection = Object.freeze({
    kind: 'connection',
    connector,
    label,
    ...(settings.maxConnections !== undefined && { maxConnections: settings.maxConnections }),
    dialect: 'mysql',
    selection: <C extends Columns>(table: Table<C>) =>
      selectionOf<RowOf<Table<C>>>(home(), { kind: 'relation', name: table.name }, schemaOf(table)),
    query: <DB, Row, C extends Columns>(build: (db: Kysely<DB>) => RowQuery<Row>, { as }: { readonly as: Table<C> }) =>
      selectionOf<RowOf<Table<C>>>(home(), { kind: 'query', name: as.name, text: queryText(as, build) }, schemaOf(as)),
    table: <C extends Columns>(table: Table<C>, loading: MysqlLoadOptions) =>
      tableTarget({ connector, label, settings, connection: self, stored }, table, loading),
    apply: (options: MysqlApplyOptions = {}) => applyTarget({ settings, connector, label, connection: self, stored }, options),
    capture: <Tables extends Readonly<Record<string, Table>>>(tables: Tables, capturing?: MysqlCaptureOptions) =>
      captureSource({ connector, label, settings, connection: self }, tables, capturing),
    sql: () => sqlRunner(settings),
    examine: (context: Context) => examine(settings, label, context),
    introspect: (context: Context, wanted: { readonly schemas?: readonly string[]; readonly tables?: readonly string[] }) =>
      introspect(settings, context, wanted),
  } satisfies MysqlConnection);
  return self;
}

const schemaOf = (table: Table): RowSchema => ({ columns: table.columns, ...(table.key && { key: table.key }) });

import {
  type CaptureConnection,
  type CaptureSource,
  type ChangeTarget,
  type Columns,
  type Context,
  type DatabaseConnection,
  describeSetting,
  type Finding,
  type IntrospectableConnection,
  type RowOf,
  type Selection,
  type Setting,
  type Table,
  type TableConnection,
  type Target,
} from '@millrace/core/runtime';
import type { Kysely } from 'kysely';
import type { SslSetting } from './address.ts';
import { applyTarget } from './apply/apply-target.ts';
import type { ApplyOptions } from './apply/settings.ts';
import { type CapturedRows, type CaptureHome, captureSource } from './capture/capture.ts';
import type { PostgresCaptureOptions } from './capture/options.ts';
import { openSession } from './client.ts';
import { examine } from './examine.ts';
import { quoteIdentifier, quoteName } from './identifier.ts';
import { introspect } from './introspect.ts';
import { type NamesOf, queryText, type RowQuery } from './query.ts';
import { type Home, selectionOf } from './selection.ts';
import { postgresLedger, sqlRunner } from './sink/sql-runner.ts';
import { type TableHome, type TableLoadOptions, tableTarget } from './sink/table-target.ts';
import { taskRunner } from './task/task-runner.ts';

export interface PostgresOptions {
  /** `secret('SHOP_URL')`, or `postgres://…` where there is no secret in it. See `parseAddress` for what a URL may hold. */
  readonly url: Setting;
  /** `false` for none, `true` to verify the server's certificate, or options of Node's TLS. Where it is left out, `sslmode` of the URL decides, and without that an endpoint of RDS or Redshift is verified. */
  readonly ssl?: SslSetting;
  /** Connections that read at once, 4 by default for each stage; what is set here holds for all stages of a fleet together. With 1, splits are read one after another. */
  readonly maxConnections?: number;
}

/** A Postgres database: tables and queries to read, tables to load, SQL to run. A frozen value that holds no connection. */
export interface PostgresConnection
  extends TableConnection,
    CaptureConnection<PostgresCaptureOptions>,
    DatabaseConnection,
    IntrospectableConnection {
  readonly connector: 'postgres' | 'aurora';
  readonly dialect: 'postgres';
  selection<C extends Columns>(table: Table<C>): Selection<RowOf<Table<C>>>;
  /**
   * Rows of a query, built with Kysely. `as` names it and says what its columns are; the names are checked as the file is written, the
   * types against the database when it is read.
   *
   * ```ts
   * const big = table('big_orders', { id: int8(), total: numeric(12, 2) });
   * extract(shop.query((db: Kysely<ShopDB>) => db.selectFrom('orders').select(['id', 'total']).where('total', '>', '100'), { as: big }))
   * ```
   */
  query<DB, Row, C extends Columns>(
    build: (db: Kysely<DB>) => RowQuery<Row>,
    options: { readonly as: Table<C> & NamesOf<C, Row> },
  ): Selection<RowOf<Table<C>>>;
  /** Tables whose changes are followed; for `capture(shop, { tables: { orders } })`. */
  capture<Tables extends Readonly<Record<string, Table>>>(
    tables: Tables,
    options?: PostgresCaptureOptions,
  ): CaptureSource<CapturedRows<Tables>>;
  /** A table to load: `load(facts, mirror.table(orders, { mode: 'merge' }))`. */
  table<C extends Columns>(table: Table<C>, options: TableLoadOptions): Target<RowOf<Table<C>>, 'rows', 'table'>;
  /** Tables that follow a stream of changes: `load(changes, mirror.apply({ schema: 'shop' }))`. */
  apply(options?: ApplyOptions): ChangeTarget<unknown>;
}

/** A Postgres database. */
export const postgres = (options: PostgresOptions): PostgresConnection => connection('postgres', options);

export interface AuroraOptions extends PostgresOptions {
  /**
   * The cluster's reader endpoint, as a URL of its own: tables and queries are read there, so that the writer is spared. What the writer
   * has committed is there some ten milliseconds later; an incremental window needs a `lag` longer than the longest transaction.
   */
  readonly reader?: Setting;
}

/** Aurora for PostgreSQL: `url` is its writer, the cluster endpoint, or any endpoint where it is only read from. */
export const aurora = ({ reader, ...options }: AuroraOptions): PostgresConnection => connection('aurora', options, reader);

function connection(connector: 'postgres' | 'aurora', options: PostgresOptions, reader?: Setting): PostgresConnection {
  const settings = Object.freeze({ ...options });
  const label = describeSetting(settings.url);
  const readingSettings = reader === undefined ? settings : Object.freeze({ ...settings, url: reader });
  const readingLabel = describeSetting(readingSettings.url);
  const open = (context: Context, purpose: string, writer = false) => openSession(settings, context, { purpose, writer });
  const home = (): Home & CaptureHome => ({ connector, label, settings, connection: self });
  const reading = (): Home => ({ ...home(), label: readingLabel, settings: readingSettings });
  const target = (): TableHome => ({
    connector,
    label,
    settings,
    connection: self,
    stored: (table, input, current) => {
      if (current === null) return selectionOf(home(), { kind: 'relation', name: table.name }, input);
      const columns = input.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
      return selectionOf(
        home(),
        { kind: 'query', name: table.name, text: `SELECT ${columns} FROM ${quoteName(table.name)} WHERE ${quoteIdentifier(current)}` },
        input,
      );
    },
  });
  const self: PostgresConnection = Object.freeze({
    kind: 'connection',
    connector,
    label,
    ...(settings.maxConnections !== undefined && { maxConnections: settings.maxConnections }),
    dialect: 'postgres',
    selection: <C extends Columns>(table: Table<C>) =>
      selectionOf<RowOf<Table<C>>>(reading(), { kind: 'relation', name: table.name }, schemaOf(table)),
    query: <DB, Row, C extends Columns>(build: (db: Kysely<DB>) => RowQuery<Row>, { as }: { readonly as: Table<C> }) =>
      selectionOf<RowOf<Table<C>>>(reading(), { kind: 'query', name: as.name, text: queryText(as, build) }, schemaOf(as)),
    capture: <Tables extends Readonly<Record<string, Table>>>(tables: Tables, capturing?: PostgresCaptureOptions) =>
      captureSource(home(), tables, capturing),
    table: <C extends Columns>(table: Table<C>, loading: TableLoadOptions) => tableTarget(target(), table, loading),
    apply: (applying: ApplyOptions = {}) =>
      applyTarget(
        {
          connector,
          label,
          settings,
          connection: self,
          stored: (name, schema, where) => {
            if (where === null) return selectionOf(home(), { kind: 'relation', name }, schema);
            const columns = schema.columns.map((column) => quoteIdentifier(column.name)).join(', ');
            return selectionOf(home(), { kind: 'query', name, text: `SELECT ${columns} FROM ${quoteName(name)} WHERE ${where}` }, schema);
          },
        },
        applying,
      ),
    sql: () => sqlRunner(open, postgresLedger),
    tasks: () => taskRunner({ open, ledger: postgresLedger }),
    examine: async (context: Context): Promise<readonly Finding[]> => [
      ...(await examine(settings, label, context)),
      ...(reader === undefined ? [] : await examine(readingSettings, readingLabel, context)),
    ],
    introspect: (context: Context, wanted: { readonly schemas?: readonly string[]; readonly tables?: readonly string[] }) =>
      introspect(settings, context, wanted),
  } satisfies PostgresConnection);
  return self;
}

const schemaOf = (table: Table) => ({ columns: table.columns, ...(table.key && { key: table.key }) });

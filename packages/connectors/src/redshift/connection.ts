import {
  type ChangeTarget,
  type Columns,
  type Context,
  type DatabaseConnection,
  describeSetting,
  type Finding,
  type RowOf,
  type RowSchema,
  type Setting,
  type Table,
  type TableConnection,
  type Target,
} from '@millrace/core/runtime';
import type { SslSetting } from '../postgres/address.ts';
import type { Session } from '../postgres/client.ts';
import { quoteIdentifier, quoteName } from '../postgres/identifier.ts';
import { selectionOf } from '../postgres/selection.ts';
import { type OpenSession, type SqlLedger, sqlRunner } from '../postgres/sink/sql-runner.ts';
import { taskRunner } from '../postgres/task/task-runner.ts';
import type { StoreSettings } from '../s3/open-storage.ts';
import { type CopyOptions, copyTarget } from './copy-target.ts';
import { examine } from './examine.ts';
import { postgresWarehouseLedger, redshiftLedger } from './ledger.ts';
import { applyTarget } from './mirror/apply-target.ts';
import type { ApplyOptions } from './mirror/settings.ts';
import { openWarehouse } from './warehouse.ts';

export interface RedshiftOptions {
  /** `secret('WAREHOUSE_URL')`: `postgres://user:password@host:5439/database`. A plain Postgres may stand there: the files are then read by this process. */
  readonly url: Setting;
  readonly ssl?: SslSetting;
  /** The IAM role with which the cluster reads S3, or `'default'` for the default role of the cluster. */
  readonly copyRole?: Setting;
  /** Of the bucket, where it is not the cluster's. Parquet must be in the cluster's own region. */
  readonly region?: string;
  /** How this process reaches the files where a plain Postgres stands in for Redshift. As given to `s3()`; AWS and `file:` need nothing. */
  readonly files?: StoreSettings;
}

/** A warehouse: files are copied into its tables, and its SQL and procedures are run. */
export interface RedshiftConnection extends DatabaseConnection, TableConnection {
  readonly connector: 'redshift';
  readonly dialect: 'redshift';
  /** A table to copy files into: `load(files, warehouse.copy(orderFact, { mode: 'merge' }))`. */
  copy<C extends Columns>(table: Table<C>, options: CopyOptions): Target<RowOf<Table<C>>, 'files', 'table'>;
  /** Tables that follow a capture: `load(changes, warehouse.apply({ schema: 'shop', staging: lake }))`. Each needs a key. */
  apply(options: ApplyOptions): ChangeTarget<unknown>;
}

/** Amazon Redshift, or a Postgres in its place. */
export function redshift(options: RedshiftOptions): RedshiftConnection {
  const settings = Object.freeze({ url: options.url, ...(options.ssl !== undefined && { ssl: options.ssl }) });
  const label = describeSetting(options.url);
  const home = warehouseHome(settings);
  const place = () => ({ connector: 'redshift', label, settings, connection: self });
  /** `current` is the condition that current rows meet. */
  const storedNow = (name: string, input: RowSchema, current: string | null) => {
    if (current === null) return selectionOf(place(), { kind: 'relation', name }, input);
    const columns = input.columns.map((column) => quoteIdentifier(column.name)).join(', ');
    return selectionOf(place(), { kind: 'query', name, text: `SELECT ${columns} FROM ${quoteName(name)} WHERE ${current}` }, input);
  };
  const stored = (table: Table, input: RowSchema, current: string | null) =>
    storedNow(table.name, input, current === null ? null : quoteIdentifier(current));
  const self: RedshiftConnection = Object.freeze({
    kind: 'connection',
    connector: 'redshift',
    label,
    dialect: 'redshift',
    selection: <C extends Columns>(table: Table<C>) => selectionOf<RowOf<Table<C>>>(place(), { kind: 'relation', name: table.name }, table),
    copy: <C extends Columns>(table: Table<C>, loading: CopyOptions) =>
      copyTarget(
        {
          connection: settings,
          copyRole: options.copyRole ?? null,
          region: options.region ?? null,
          store: options.files ?? {},
          label,
          self,
          stored,
        },
        table,
        loading,
      ),
    apply: (following: ApplyOptions) =>
      applyTarget(
        { connection: settings, copyRole: options.copyRole ?? null, region: options.region ?? null, label, self, stored: storedNow },
        following,
      ),
    sql: () => sqlRunner(home.open, home.ledger),
    tasks: () => taskRunner(home),
    examine: (context: Context): Promise<readonly Finding[]> =>
      examine({ connection: settings, copyRole: options.copyRole ?? null, label }, context),
  } satisfies RedshiftConnection);
  return self;
}

/** Each session finds out what it is a session with; the ledger follows. */
function warehouseHome(connection: { readonly url: Setting; readonly ssl?: SslSetting }): { open: OpenSession; ledger: SqlLedger } {
  const onRedshift = new WeakSet<Session>();
  const of = (session: Session): SqlLedger => (onRedshift.has(session) ? redshiftLedger : postgresWarehouseLedger).sql;
  const ledger: SqlLedger = {
    open: (session) => of(session).open(session),
    take: (session, fence) => of(session).take(session, fence),
    hold: (session, fence) => of(session).hold(session, fence),
    find: (session, id) => of(session).find(session, id),
    note: (session, id, result) => of(session).note(session, id, result),
    isPostgres: (session) => of(session).isPostgres(session),
    transactionId: (session) => of(session).transactionId(session),
  };
  const open: OpenSession = async (context, purpose) => {
    const { session, redshift: is } = await openWarehouse({ connection }, context, purpose);
    if (is) onRedshift.add(session);
    return session;
  };
  return { open, ledger };
}

import {
  type Columns,
  type Context,
  type Finding,
  type IntrospectableConnection,
  MillraceError,
  outputColumns,
  type RelationalOp,
  type RowOf,
  type RowSchema,
  type RowSource,
  type Selection,
  type Setting,
  type Table,
  type TableConnection,
  type Target,
} from '@millrace/core/runtime';
import { addressLabel } from './address.ts';
import { examine } from './examine.ts';
import { introspect } from './introspect.ts';
import type { JavaSettings } from './java.ts';
import { nativeOf, takeOver } from './native.ts';
import { canAbsorb } from './select-sql.ts';
import { type TableLoadOptions, tableTarget } from './sink/table-target.ts';
import { openSource, type ReadObject, type SourceSettings } from './source.ts';

export interface JdbcOptions {
  /** What the driver's documentation says: `jdbc:oracle:thin:@//host:1521/service`. A secret where it holds a password. */
  readonly url: Setting;
  readonly user?: Setting;
  readonly password?: Setting;
  /** Further properties of the driver. */
  readonly properties?: Readonly<Record<string, Setting>>;
  /**
   * Jars by path, or by the coordinates under which a Maven repository has them: `['com.h2database:h2:2.3.232']`. `#sha256=…` behind one pins
   * its content. A `secret('ERP_DRIVER')` where environments differ.
   */
  readonly drivers?: readonly Setting[];
  /** Where the jar does not say which class is the driver. */
  readonly driverClass?: string;
  readonly java?: JavaSettings;
  /** Connections that read or write at once, 4 by default. With 1, splits are read one after another. */
  readonly maxConnections?: number;
  /** Rows that the driver fetches at once, 4,096 by default. */
  readonly fetchSize?: number;
  /** False reads and loads through the driver also where there is a connector for the database (`jdbc:postgresql:`, `jdbc:mysql:`, `jdbc:mariadb:`). */
  readonly native?: boolean;
}

/** A database with a JDBC driver: tables and queries to read, tables to load. A frozen value that holds no connection. */
export interface JdbcConnection extends TableConnection, IntrospectableConnection {
  readonly connector: 'jdbc';
  selection<C extends Columns>(table: Table<C>): Selection<RowOf<Table<C>>>;
  /**
   * Rows of a query in the database's own SQL. `as` names it and says what its columns are; both are compared with the answer when it is read.
   *
   * ```ts
   * extract(erp.query('SELECT id, CAST(at AS TIMESTAMP(6)) AS at FROM events', { as: table('events', { id: int8(), at: timestamp() }) }))
   * ```
   */
  query<C extends Columns>(sql: string, options: { readonly as: Table<C> }): Selection<RowOf<Table<C>>>;
  /** A table to load: `load(facts, erp.table(orders, { mode: 'merge' }))`. */
  table<C extends Columns>(table: Table<C>, options: TableLoadOptions): Target<RowOf<Table<C>>, 'rows', 'table'>;
}

/** A database with a JDBC driver. */
export function jdbc(options: JdbcOptions): JdbcConnection {
  const settings: SourceSettings & Pick<JdbcOptions, 'native'> = Object.freeze({ ...options });
  const label = addressLabel(settings.url);
  /** Seen from the URL alone; where that is a secret it turns out when it is opened. */
  const native = settings.native === false ? undefined : nativeOf(settings);
  const taken = (context: Context) => (settings.native === false ? null : takeOver(settings, context));

  const selectionOf = <Row>(object: ReadObject, schema: RowSchema): Selection<Row> => {
    const offers = native?.offers(schema) ?? ['batches'];
    const absorbs = native?.absorbs ?? canAbsorb;
    return Object.freeze({
      kind: 'selection',
      description: {
        connector: 'jdbc',
        object: object.name,
        connection: label,
        ...((object.kind === 'query' || native) && {
          options: { ...(object.kind === 'query' && { query: object.text }), ...(native && { native: native.name }) },
        }),
      },
      connection: self,
      schema,
      offers,
      absorbs: (op: RelationalOp, before: readonly RelationalOp[]) =>
        absorbs(
          op,
          before.reduce((columns, earlier) => outputColumns(earlier, columns), [...schema.columns]),
        ),
      async open(context) {
        const over = await taken(context);
        if (!over) return openSource(settings, object, schema, context);
        const source = await over.connection.selection(object, schema).open(over.context);
        return native ? source : offeringBatches(source);
      },
    } satisfies Selection<Row>);
  };

  const self: JdbcConnection = Object.freeze({
    kind: 'connection',
    connector: 'jdbc',
    label,
    ...(settings.maxConnections !== undefined && { maxConnections: settings.maxConnections }),
    selection: <C extends Columns>(table: Table<C>) =>
      selectionOf<RowOf<Table<C>>>({ kind: 'relation', name: table.name }, schemaOf(table)),
    query: <C extends Columns>(sql: string, { as }: { readonly as: Table<C> }) =>
      selectionOf<RowOf<Table<C>>>({ kind: 'query', name: as.name, text: withoutEnd(sql) }, schemaOf(as)),
    table: <C extends Columns>(table: Table<C>, loading: TableLoadOptions) =>
      tableTarget<Table<C>>(
        { settings, label, connection: self, taken, stored: (input) => selectionOf({ kind: 'relation', name: table.name }, input) },
        table,
        loading,
      ),
    async examine(context: Context): Promise<readonly Finding[]> {
      const over = await taken(context);
      return over ? over.connection.examine(over.context) : examine(settings, label, context);
    },
    async introspect(context: Context, wanted: { readonly schemas?: readonly string[]; readonly tables?: readonly string[] }) {
      const over = await taken(context);
      return over ? over.connection.introspect(over.context, wanted) : introspect(settings, context, wanted);
    },
  } satisfies JdbcConnection);
  return self;
}

const schemaOf = (table: Table): RowSchema => ({ columns: table.columns, ...(table.key && { key: table.key }) });

/** A query stands in brackets. @throws PIPELINE_INVALID */
function withoutEnd(sql: string): string {
  const text = sql.replace(/[\s;]+$/, '');
  if (text !== '') return text;
  throw new MillraceError('PIPELINE_INVALID', { message: 'A query of a JDBC connection is empty.', remedy: 'Write a SELECT.' });
}

/** What a plan was told of a secret URL: no more than any JDBC source offers. */
function offeringBatches(source: RowSource): RowSource {
  return {
    describe: () => source.describe(),
    plan: (request) => source.plan(request),
    ...(source.join && { join: (plan) => source.join!(plan) }),
    offers: () => ['batches'],
    open: (split, format) => source.open(split, format),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

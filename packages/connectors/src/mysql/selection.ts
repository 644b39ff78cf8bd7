import {
  type Connection,
  outputColumns,
  type RelationalOp,
  type RowSchema,
  type Selection,
  type SqlStatement,
} from '@millrace/core/runtime';
import { quoteIdentifier, quoteName } from './identifier.ts';
import { canAbsorb } from './select-sql.ts';
import { offers, openSource, type ReadObject, type SourceSettings } from './source.ts';

/** The connection that a selection reads from, as plans and `doctor` know it. */
export interface Home {
  readonly connector: string;
  readonly label: string;
  readonly settings: SourceSettings;
  readonly connection?: Connection;
}

/** Rows of a table, a view or a query, with the columns of `schema`. */
export function selectionOf<Row>(home: Home, object: ReadObject, schema: RowSchema): Selection<Row> {
  const { connector, label, settings, connection } = home;
  const { zeroDates } = settings;
  const options = { ...(object.kind === 'query' && { query: object.text }), ...(zeroDates && { zeroDates }) };
  return Object.freeze({
    kind: 'selection',
    description: { connector, object: object.name, connection: label, ...(Object.keys(options).length > 0 && { options }) },
    ...(connection && { connection }),
    query: statement(object, schema),
    schema,
    offers,
    absorbs: (op: RelationalOp, before: readonly RelationalOp[]) =>
      canAbsorb(
        op,
        before.reduce((columns, earlier) => outputColumns(earlier, columns), [...schema.columns]),
        zeroDates,
      ),
    open: (context) => openSource(settings, object, schema, context),
  } satisfies Selection<Row>);
}

/** The declared columns, in their order. */
function statement(object: ReadObject, { columns }: RowSchema): SqlStatement {
  const where = object.kind === 'relation' && object.where ? ` WHERE ${object.where}` : '';
  const from = object.kind === 'relation' ? quoteName(object.name) + where : `(${object.text}\n) AS q`;
  return { text: `SELECT ${columns.map(({ name }) => quoteIdentifier(name)).join(', ')} FROM ${from}`, values: [] };
}

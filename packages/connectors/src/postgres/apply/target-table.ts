import { baseType, type ColumnType, fidelity, MillraceError, type RowSchema } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import { readTable } from '../sink/read-table.ts';
import type { RealTable } from '../sink/table-columns.ts';

/** A table that changes go to, as it is in the database now. */
export interface TargetTable {
  /** In the pipeline. */
  readonly table: string;
  readonly real: RealTable;
  readonly quoted: string;
  /** What messages call it. */
  readonly shown: string;
  /** Empty where rows are told apart by all their columns. */
  readonly key: readonly string[];
  /** Columns that can be written, by name. */
  readonly columns: ReadonlyMap<string, TargetColumn>;
  /** Columns that the database computes: what comes for them is left out. */
  readonly computed: ReadonlySet<string>;
}

export interface TargetColumn {
  readonly name: string;
  readonly quoted: string;
  readonly type: ColumnType;
  /** The type for a cast, without length or precision: an INSERT then refuses what is too long, where a cast would cut it. */
  readonly cast: string;
  readonly notNull: boolean;
  /** GENERATED ALWAYS AS IDENTITY: an INSERT can write it, an UPDATE cannot. */
  readonly identityAlways: boolean;
}

/** Null where there is none. */
export async function readTarget(session: Session, table: string, name: string, key: readonly string[]): Promise<TargetTable | null> {
  const real = await readTable(session, name);
  if (!real) return null;
  const rows = await session.query(
    `SELECT attname AS name, format_type(atttypid, -1) AS type, attidentity = 'a' AS always FROM pg_attribute
     WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped`,
    [real.oid],
  );
  const facts = new Map(rows.map((row) => [row['name'], { cast: row['type'] ?? '', identityAlways: row['always'] === 't' }]));
  return {
    table,
    real,
    quoted: quoteName(real),
    shown: `${real.schema}.${real.name}`,
    key,
    columns: new Map(
      real.columns
        .filter(({ generated }) => !generated)
        .map(({ name: column, type, notNull }) => [
          column,
          { name: column, quoted: quoteIdentifier(column), type, notNull, ...facts.get(column)! },
        ]),
    ),
    computed: new Set(real.columns.filter(({ generated }) => generated).map(({ name: column }) => column)),
  };
}

/**
 * Where each column of incoming rows goes; null for one that is left out, since the database computes it or the pipeline's policy
 * ignores what was added. @throws SCHEMA_DRIFT
 */
export function columnsOf(target: TargetTable, schema: RowSchema, ignoresAdded: boolean): (TargetColumn | null)[] {
  return schema.columns.map(({ name, type }) => {
    const column = target.columns.get(name);
    if (column) {
      assertTakes(target, column, type);
      return column;
    }
    if (target.computed.has(name) || ignoresAdded) return null;
    throw new MillraceError('SCHEMA_DRIFT', {
      message: `Rows come with a column "${name}", which ${target.shown} does not have.`,
      remedy: `Add it: ALTER TABLE ${target.quoted} ADD COLUMN ${quoteIdentifier(name)} …; or copy the table again with "millrace resync".`,
      facts: { table: target.shown, column: name },
    });
  });
}

function assertTakes(target: TargetTable, column: TargetColumn, type: ColumnType): void {
  const [from, to] = [baseType(type), baseType(column.type)];
  // Values of the database's own types come as text, and the text says whether they fit.
  if (from.kind === to.kind || from.kind === 'other' || from.kind === 'enum' || fidelity(from, to) !== 'lossy') return;
  throw new MillraceError('SCHEMA_DRIFT', {
    message: `"${column.name}" comes as ${from.kind}, and is ${column.cast} in ${target.shown}.`,
    remedy: 'Change the type of the column, or copy the table again with "millrace resync".',
    facts: { table: target.shown, column: column.name },
  });
}

import { baseType, MillraceError, type RowSchema, typeName } from '@millrace/core/runtime';
import { type CatalogColumn, findRelation, type Relation } from '../catalog.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import type { Session } from '../session.ts';
import { type LandingColumn, landingOf } from '../sink/landing.ts';
import { bends, holds } from '../sink/prepare-table.ts';

/** A table that changes go to, as it is in the database now. */
export interface TargetTable {
  /** In the pipeline. */
  readonly table: string;
  readonly relation: Relation;
  readonly quoted: string;
  /** What messages call it. */
  readonly shown: string;
  readonly key: readonly string[];
  /** Columns that can be written, by name. */
  readonly columns: ReadonlyMap<string, CatalogColumn>;
  /** Columns that the database computes: what comes for them is left out. */
  readonly computed: ReadonlySet<string>;
}

/** Null where there is none. */
export async function readTarget(
  session: Session,
  table: string,
  name: Parameters<typeof findRelation>[1],
  key: readonly string[],
): Promise<TargetTable | null> {
  const relation = await findRelation(session, name);
  if (!relation) return null;
  return {
    table,
    relation,
    quoted: quoteName({ database: relation.database, name: relation.name }),
    shown: `${relation.database}.${relation.name}`,
    key,
    columns: new Map(relation.columns.filter(({ generated }) => !generated).map((column) => [column.name, column])),
    computed: new Set(relation.columns.filter(({ generated }) => generated).map((column) => column.name)),
  };
}

/** The same table as it is now. */
export const readAgain = (session: Session, { table, relation, key }: TargetTable): Promise<TargetTable | null> =>
  readTarget(session, table, { database: relation.database, name: relation.name }, key);

/**
 * Where each column of incoming rows goes; null for one that is left out, since the database computes it or the pipeline's policy
 * ignores what was added. @throws SCHEMA_DRIFT
 */
export function columnsOf(target: TargetTable, schema: RowSchema, ignoresAdded: boolean): (LandingColumn | null)[] {
  return schema.columns.map((column) => {
    const { name, type } = column;
    const there = target.columns.get(name);
    if (there) {
      assertTakes(target, there, type);
      return landingOf([column], target.relation, new Set()).columns[0] ?? null;
    }
    if (target.computed.has(name) || ignoresAdded) return null;
    throw new MillraceError('SCHEMA_DRIFT', {
      message: `Rows come with a column "${name}", which ${target.shown} does not have.`,
      remedy: `Add it: ALTER TABLE ${target.quoted} ADD COLUMN ${quoteIdentifier(name)} …; or copy the table again with "millrace resync".`,
      facts: { table: target.shown, column: name },
    });
  });
}

/**
 * A column of text keeps the text of any value, or refuses it for its length; one of the same kind refuses what is beyond it. There are
 * types that do neither, see `bends`.
 */
function assertTakes(target: TargetTable, column: CatalogColumn, type: RowSchema['columns'][number]['type']): void {
  const refuses = !bends(column) && (column.charset !== null || baseType(type).kind === baseType(column.type).kind);
  if (refuses || holds(column, type)) return;
  throw new MillraceError('SCHEMA_DRIFT', {
    message: `"${column.name}" comes as ${typeName(type)}, and is ${column.sqlType} in ${target.shown}.`,
    remedy: 'Change the type of the column, or copy the table again with "millrace resync".',
    facts: { table: target.shown, column: column.name },
  });
}

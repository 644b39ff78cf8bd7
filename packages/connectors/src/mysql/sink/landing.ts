import { baseType, type ColumnSchema, type ColumnType, MillraceError } from '@millrace/core/runtime';
import type { CatalogColumn, Relation } from '../catalog.ts';
import { quoteIdentifier } from '../identifier.ts';

/** How incoming columns reach the columns of the table. */
export interface Landing {
  /** Those that are written, in the order in which they come. */
  readonly columns: readonly LandingColumn[];
}

export interface LandingColumn {
  readonly name: string;
  readonly quoted: string;
  /** Of the column that comes. */
  readonly type: ColumnType;
  /** Where the incoming values are, among the vectors of a batch. */
  readonly place: number;
  readonly target: CatalogColumn;
  /** The column in a staging table: the target's own type, with its character set. */
  readonly definition: string;
  /** A timestamp that must not be NULL. MySQL would put the present moment in the place of a NULL, without a word; see `copierOf`. */
  readonly stamps: boolean;
  /** What LOAD DATA makes of a field, with `@` for it; null where it is the field itself. */
  readonly made: string | null;
}

/** Pairs incoming columns with those of the table by name. @throws SCHEMA_DRIFT for a column that the table lacks */
export function landingOf(incoming: readonly ColumnSchema[], table: Relation, notNull: ReadonlySet<string>): Landing {
  const real = new Map(table.columns.map((column) => [column.name, column]));
  const columns = incoming.flatMap((column, place): LandingColumn[] => {
    const target = real.get(column.name);
    if (!target) {
      throw new MillraceError('SCHEMA_DRIFT', {
        message: `Rows come with a column "${column.name}", which "${table.database}.${table.name}" does not have.`,
        remedy: `Add the column to the table() declaration and load with schema: 'evolve', or leave it out with select().`,
        facts: { column: column.name },
      });
    }
    if (target.generated) return [];
    const quoted = quoteIdentifier(column.name);
    const required = notNull.has(column.name);
    const isStamp = target.dataType === 'timestamp';
    return [
      {
        name: column.name,
        quoted,
        type: column.type,
        place,
        target,
        // Servers that give a NOT NULL timestamp a default of their own have but one that is valid.
        definition: `${quoted} ${definitionOf(target)} ${required && !isStamp ? 'NOT NULL' : 'NULL'}`,
        stamps: isStamp && (required || target.notNull),
        made: madeOf(column.type, target),
      },
    ];
  });
  return { columns };
}

/** The type with what decides how its values compare. */
export const definitionOf = ({ sqlType, charset, collation }: CatalogColumn): string =>
  charset === null ? sqlType : `${sqlType} CHARACTER SET ${charset} COLLATE ${collation}`;

/** The field that `encode.ts` writes for a value is what MySQL reads, but for these; what is kept as text is what Postgres prints. */
function madeOf(from: ColumnType, { dataType, form, charset }: CatalogColumn): string | null {
  const isText = charset !== null;
  switch (baseType(from).kind) {
    case 'bytea':
      return isText ? "CONCAT(x'5C78', @)" : form === 'geometry' ? 'ST_GeomFromWKB(UNHEX(@))' : 'UNHEX(@)';
    case 'bool':
      return isText ? "ELT(@ + 1, 'f', 't')" : dataType === 'bit' ? 'CAST(@ AS UNSIGNED)' : null;
    case 'timestamptz':
      return isText ? "CONCAT(@, '+00')" : null;
    case 'bit':
    case 'varbit':
      return dataType === 'bit' ? 'CAST(CONV(@, 2, 10) AS UNSIGNED)' : null;
    case 'uuid':
      return form === 'bytes' ? "UNHEX(REPLACE(@, '-', ''))" : null;
    default:
      return null;
  }
}

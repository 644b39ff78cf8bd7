import { MillraceError, type RowSchema, type SchemaChange } from '@millrace/core/runtime';
import type { TableShape } from '../../changes/table-shape.ts';
import type { CatalogTable } from './catalog-table.ts';
import { type ColumnMemory, declaredNumbers } from './column-memory.ts';
import type { ColumnHistory } from './ddl-trigger.ts';
import {
  columnChanges,
  columnsAt,
  declaredStreamColumns,
  keyAt,
  type NamedColumn,
  type SourceColumn,
  type StreamColumn,
  sameColumns,
} from './stream-columns.ts';
import { canBeBinary, tableShape } from './table-shape.ts';

export interface FollowedParts {
  /** Its name in the pipeline. */
  readonly table: string;
  readonly declared: RowSchema;
  readonly catalog: CatalogTable;
  /** Null where the source remembers nothing: columns that come later are left out then. */
  readonly memory: ColumnMemory | null;
  /** What was told of its columns before. */
  readonly history?: ColumnHistory;
}

/** Columns as they were from a place in the stream on. */
export interface EarlierColumns {
  readonly lsn: bigint;
  readonly columns: readonly SourceColumn[];
}

/** One table of the stream, at the place where the stream is: its columns, and how its rows are read. */
export class FollowedTable {
  readonly table: string;
  readonly oid: number;
  readonly name: string;
  readonly #declared: RowSchema;
  readonly #numbers: Readonly<Record<string, number>>;
  readonly #joined: Readonly<Record<string, number>> | null;
  readonly #binary: boolean;
  /** As the last message of the trigger has them; before the first, the catalog. */
  #known: readonly SourceColumn[];
  #earlier: readonly EarlierColumns[] = [];
  #from = 0n;
  #catalog: readonly SourceColumn[];
  readonly #passed = new Set<number>();
  #columns: readonly StreamColumn[];
  #shape: TableShape | null = null;

  constructor({ table, declared, catalog, memory }: FollowedParts, binary: boolean) {
    this.table = table;
    this.oid = catalog.oid;
    this.name = `${catalog.schema}.${catalog.name}`;
    this.#declared = declared;
    this.#joined = memory?.joined ?? null;
    this.#numbers = numbersOf({ declared, catalog, memory });
    this.#binary = binary;
    this.#known = catalog.columns;
    this.#catalog = catalog.columns;
    this.#columns = declaredStreamColumns(declared, this.#numbers);
  }

  /** How its rows are read; null before its relation has come. */
  get shape(): TableShape | null {
    return this.#shape;
  }

  /** Columns that it had before; the stream is read from `from`. */
  remember(earlier: readonly EarlierColumns[], from: bigint): void {
    this.#earlier = earlier;
    this.#from = from;
  }

  /** False where the columns are others than those that are known: somebody should look at the catalog. */
  knows(relation: readonly NamedColumn[]): boolean {
    this.#recall(relation);
    return sameColumns(relation, this.#streamed(relation));
  }

  /** Columns as the catalog has them now. */
  look(columns: readonly SourceColumn[]): void {
    this.#known = columns;
    this.#catalog = columns;
  }

  /** The relation that the next rows are of, and which of its columns are its replica identity. Answers what changes for those who have the table; null for nothing. */
  relation(
    relation: readonly NamedColumn[],
    identity: readonly boolean[] = relation.map(() => true),
  ): Omit<SchemaChange, 'kind' | 'transaction' | 'ordinal'> | null {
    this.#recall(relation);
    const columns = columnsAt({
      declared: this.#declared,
      declaredNumbers: this.#numbers,
      joined: this.#joined,
      relation,
      known: this.#streamed(relation),
      catalog: this.#catalog,
      passed: this.#passed,
    });
    const changes = columnChanges(this.name, this.#columns, columns);
    const retold = this.#shape === null;
    const key = keyAt(this.#declared, this.#numbers, columns);
    this.#columns = columns;
    for (const { name } of relation) if (this.#numbers[name] !== undefined) this.#passed.add(this.#numbers[name]);
    this.#shape = tableShape({ table: this.table, key, columns, sources: identity, binary: this.#binary });
    if (changes.length === 0) return null;
    const { schema } = this.#shape;
    return { table: this.table, schema, changes, ...(retold && { retold }) };
  }

  /** A message tells the columns before the relation comes. */
  announce(
    columns: readonly (SourceColumn & { readonly generated: boolean })[],
  ): Omit<SchemaChange, 'kind' | 'transaction' | 'ordinal'> | null {
    this.#earlier = [];
    this.#known = columns;
    return this.relation(columns.filter(({ generated }) => !generated));
  }

  /** Where the catalog is not where the stream is, what was told of the columns then is better. */
  #recall(relation: readonly NamedColumn[]): void {
    if (this.#earlier.length === 0 || sameColumns(relation, this.#streamed(relation))) return;
    const isIt = ({ columns }: EarlierColumns): boolean => sameColumns(relation, streamed(columns, relation));
    const earlier =
      this.#earlier.findLast((one) => one.lsn <= this.#from && isIt(one)) ?? this.#earlier.find((one) => one.lsn > this.#from && isIt(one));
    if (earlier) this.#known = earlier.columns;
  }

  /** Generated columns are in the catalog and, unless they are published, not in the stream. */
  #streamed(relation: readonly NamedColumn[]): readonly SourceColumn[] {
    return streamed(this.#known, relation);
  }
}

function streamed(columns: readonly SourceColumn[], relation: readonly NamedColumn[]): readonly SourceColumn[] {
  const names = new Set(relation.map(({ name }) => name));
  return columns.filter((column) => !(column as { generated?: boolean }).generated || names.has(column.name));
}

const numbersOf = ({ declared, catalog, memory }: Omit<FollowedParts, 'table'>): Record<string, number> =>
  declaredNumbers(
    declared.columns.map(({ name }) => name),
    memory?.declared ?? null,
    Object.fromEntries(catalog.columns.map(({ name, number }) => [name, number])),
  );

/** True where all values of these tables can come in binary form and be read. */
export function canStreamBinary(tables: readonly FollowedParts[]): boolean {
  return tables.every(({ declared, catalog, memory }) => {
    const numbers = numbersOf({ declared, catalog, memory });
    const joined = memory && new Set(Object.values(memory.joined));
    return catalog.columns.every((source) => {
      const column = declared.columns.find(({ name }) => numbers[name] === source.number);
      if (column) return canBeBinary(source.type, column.type, source.canSend);
      // Came later, and is handed on.
      return joined === null || joined.has(source.number) || canBeBinary(source.type, source.type, source.canSend);
    });
  });
}

/** For a table of the same name that is another one. */
export function remade(table: string, name: string, pipeline: string): MillraceError {
  return new MillraceError('RESYNC_REQUIRED', {
    message: `${name} was dropped and made again: the changes of the new table do not belong to the copy of the old one.`,
    remedy: `Run "millrace resync ${pipeline} --table ${table}" to copy it again.`,
    facts: { table, name },
  });
}

/** For a table of which the publication has left something out */
export function unpublished(pipeline: string, table: string, name: string, facts: Readonly<Record<string, unknown>>): MillraceError {
  return new MillraceError('RESYNC_REQUIRED', {
    message: `${name} was not published, or not as a whole, for a while: changes of that time are not in the stream.`,
    remedy: `Run "millrace resync ${pipeline} --table ${table}" to copy it again.`,
    facts: { pipeline, table, ...facts },
  });
}

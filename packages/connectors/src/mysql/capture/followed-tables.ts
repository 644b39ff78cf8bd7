import type { TableName } from '../binlog/statement.ts';
import type { FollowedTable } from './followed-table.ts';

/** The tables that a reader follows, by the names that rows and statements of the log have for them. */
export class FollowedTables {
  readonly #fold: (name: string) => string;
  readonly #byName: ReadonlyMap<string, FollowedTable>;
  /** Those whose copies are behind the reader. */
  readonly #reached = new Set<FollowedTable>();

  /** `foldsNames`: the server takes `Shop.ORDERS` for `shop.orders`, and logs statements as they were typed. */
  constructor(tables: readonly FollowedTable[], foldsNames: boolean) {
    this.#fold = foldsNames ? folded : (name) => name;
    this.#byName = new Map(tables.map((table) => [this.#key({ schema: table.schema, name: table.plainName }), table]));
  }

  /** As of a transaction that commits at `commit`: before that of its copy a table is nobody's. */
  find(name: TableName, commit: () => string): FollowedTable | null {
    const table = this.#byName.get(this.#key(name));
    if (!table) return null;
    if (!this.#reached.has(table) && commit() < table.joinedAt) return null;
    this.#reached.add(table);
    return table;
  }

  /** Rows of it are somebody's later, though they may be nobody's yet. */
  has(name: TableName): boolean {
    return this.#byName.has(this.#key(name));
  }

  in(schema: string): TableName[] {
    return this.#namesOf((table) => this.#fold(table.schema) === this.#fold(schema));
  }

  /** Of any schema. */
  called(name: string): TableName[] {
    return this.#namesOf((table) => folded(table.plainName) === folded(name));
  }

  #namesOf(isOne: (table: FollowedTable) => boolean): TableName[] {
    return [...this.#byName.values()].filter(isOne).map((table) => ({ schema: table.schema, name: table.plainName }));
  }

  #key({ schema, name }: TableName): string {
    return `${this.#fold(schema)}.${this.#fold(name)}`;
  }
}

/** Letter by letter, as the server does it: in a word JavaScript writes some in another way. */
export const folded = (name: string): string => Array.from(name, (letter) => (letter === 'İ' ? 'i' : letter.toLowerCase())).join('');

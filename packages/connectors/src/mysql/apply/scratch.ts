import { type ColumnBatch, type RowSchema, takeRows } from '@millrace/core/runtime';
import { type Piece, vectorOf } from '../../postgres/apply/pieces.ts';
import { quoteIdentifier } from '../identifier.ts';
import type { Session } from '../session.ts';
import { copierOf } from '../sink/copier.ts';
import { definitionOf, type LandingColumn } from '../sink/landing.ts';
import type { TargetTable } from './target-table.ts';

/**
 * Rows on their way into tables: for each target a temporary table of the session with the target's own columns, so that a value that does
 * not fit is refused on its way in, and rows are found by the comparison of the target's own index.
 */
export class Scratch {
  readonly #session: Session;
  readonly #made = new Map<string, { readonly name: string; readonly of: TargetTable['relation'] }>();

  constructor(session: Session) {
    this.#session = session;
  }

  /** Outside a transaction: some servers take no CREATE TEMPORARY TABLE within one. */
  async ready(targets: Iterable<TargetTable>): Promise<void> {
    for (const { table, relation } of targets) {
      const known = this.#made.get(table);
      if (known?.of === relation) continue;
      const name = known?.name ?? quoteIdentifier(`_millrace_rows_${this.#made.size}`);
      await this.#session.execute(`DROP TEMPORARY TABLE IF EXISTS ${name}`);
      const columns = relation.columns
        .filter(({ generated }) => !generated)
        .map((column) => `${quoteIdentifier(column.name)} ${definitionOf(column)} NULL`);
      await this.#session.execute(
        `CREATE TEMPORARY TABLE ${name} (${columns.join(', ')}, \`__millrace_ordinal\` bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
      );
      this.#made.set(table, { name, of: relation });
    }
  }

  /** These rows, and no others. Answers the quoted name of the table that has them. */
  async fill(target: TargetTable, columns: readonly LandingColumn[], pieces: readonly Piece[]): Promise<string> {
    const name = this.#made.get(target.table)?.name ?? '';
    await this.#session.execute(`DELETE FROM ${name}`);
    await loadPieces(this.#session, name, target.shown, columns, pieces);
    return name;
  }
}

/** Rows straight into a table, written out before anything is sent. @throws TYPE_MISMATCH, VALUE_UNREPRESENTABLE */
export async function loadPieces(
  session: Session,
  into: string,
  shown: string,
  columns: readonly LandingColumn[],
  pieces: readonly Piece[],
): Promise<void> {
  const landing = { columns: columns.map((column, place) => ({ ...column, place })) };
  await copierOf(session, into, landing, shown).prepare(pieces.map((piece) => projected(piece, columns)))();
}

function projected({ batch, rows }: Piece, columns: readonly LandingColumn[]): ColumnBatch {
  const schema: RowSchema = { columns: columns.map(({ name, type }) => ({ name, type, nullable: true })) };
  const all = { schema, rowCount: batch.rowCount, vectors: columns.map(({ name }) => vectorOf(batch, name)!) };
  return rows ? takeRows(all, rows) : all;
}

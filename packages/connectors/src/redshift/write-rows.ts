import { MillraceError } from '@millrace/core/runtime';
import { literal } from '../postgres/literal.ts';
import type { Manifest } from '../s3/manifest.ts';
import type { CopyWork } from './copy-load.ts';
import {
  appendStatement,
  emptyStatement,
  freshStatement,
  historyStatements,
  keylessStatement,
  mergeStatements,
  type Written,
} from './load-statements.ts';
import { quote } from './name.ts';
import type { Landed, WarehouseTable } from './warehouse.ts';

type Changed = Readonly<Record<string, number>>;

/** Brings landed rows into the table, within the transaction that moves the checkpoint. */
export async function writeRows(
  work: CopyWork,
  table: WarehouseTable,
  manifests: readonly Manifest[],
  landed: readonly Landed[],
  replace: boolean,
): Promise<Changed> {
  const { settings, session, warehouse } = work;
  const columns = work.load.schema.columns.map(({ name }) => name).filter((name) => landed.some(({ values }) => values.has(name)));
  const written: Written = {
    table: table.quoted,
    columns,
    key: settings.table.key ?? [],
    comparable: (column, reference) => warehouse.comparable(table.columns.get(column) ?? '', reference),
  };
  const affected = async (statement: string | null): Promise<number> =>
    statement === null ? 0 : ((await session.execute(statement, [], settings.table.name)).affected ?? 0);
  if (replace) {
    const deleted = await affected(emptyStatement(written));
    return { inserted: landed.length === 0 ? 0 : await affected(appendStatement(union(landed, columns, table), written)), deleted };
  }
  if (landed.length === 0) return {};
  const rows = union(landed, columns, table);
  if (settings.mode === 'append') return { inserted: await affected(appendStatement(rows, written)) };

  const fresh = quote(`__millrace_fresh_${manifests.at(-1)?.sequence ?? 0}`);
  await session.execute(freshStatement(fresh, rows, written, newestFirst(manifests, landed, columns)));
  const [keyless] = await session.query(keylessStatement(fresh, written));
  if (keyless?.['keyless'] !== '0') {
    throw new MillraceError('TYPE_MISMATCH', {
      message: `${keyless?.['keyless']} rows for ${settings.table.name} have NULL in their key (${written.key.join(', ')}).`,
      remedy: 'Leave such rows out with filter(), or choose a key that every row has.',
    });
  }
  await session.execute(`ANALYZE ${fresh}`);
  if (settings.mode === 'history') return writeHistory(work, fresh, written, manifests);
  const total = landed.reduce((sum, one) => sum + one.rows, 0);
  const { update, insert } = mergeStatements(fresh, written);
  const updated = await affected(update);
  const inserted = await affected(insert);
  return { inserted, updated, unchanged: Math.max(0, total - inserted - updated) };
}

async function writeHistory(work: CopyWork, fresh: string, written: Written, manifests: readonly Manifest[]): Promise<Changed> {
  const { settings, session, context } = work;
  if (!settings.history) throw new Error('A history has columns.');
  const time = context.run.logicalTime;
  const statements = historyStatements(fresh, written, settings.history, literal(time));
  const [later] = await session.query(statements.later);
  if (later?.['later'] !== '0') {
    throw new MillraceError('CHECKPOINT_MOVED', {
      message: `${settings.table.name} already has ${later?.['later']} versions that began after ${time}, the time this run is for, and that this load would change.`,
      remedy: 'A history only grows at its end. Run the pipeline for a later time, or empty the table and load the history in order.',
    });
  }
  const affected = async (statement: string | null): Promise<number> =>
    statement === null ? 0 : ((await session.execute(statement)).affected ?? 0);
  const corrected = await affected(statements.corrected);
  const closed = await affected(statements.closed);
  const inserted = await affected(statements.opened);
  // Only files that hold all rows can tell what is gone.
  const complete = settings.closeMissing && manifests.length === 1 && manifests[0]?.checkpoint.window === null;
  let removed = 0;
  if (complete) for (const statement of statements.removed) removed += await affected(statement);
  return { inserted, closed: closed + removed, corrected };
}

/** The rows of all manifests with the columns of the table. A column that older files lack is NULL in their rows. */
function union(landed: readonly Landed[], columns: readonly string[], table: WarehouseTable): string {
  const list = (one: Landed): string =>
    columns
      .map((name) => `${one.values.get(name) ?? `CAST(NULL AS ${table.columns.get(name) ?? 'varchar(1)'})`} AS ${quote(name)}`)
      .join(', ');
  return landed
    .map((one, at) => `SELECT ${list(one)}, ${at} AS millrace_part, ${one.newestFirst ?? '0'} AS millrace_place FROM ${one.table}`)
    .join(' UNION ALL ');
}

/** By the cursor of the windows, where the files carry it; then the later manifest wins; then the later row, where rows have an order. */
function newestFirst(manifests: readonly Manifest[], landed: readonly Landed[], columns: readonly string[]): string {
  const cursors = new Set(manifests.map(({ checkpoint }) => checkpoint.window?.column ?? null));
  const [cursor] = cursors;
  const byCursor = cursors.size === 1 && cursor && columns.includes(cursor) ? [`${quote(cursor)} DESC NULLS LAST`] : [];
  return [...byCursor, ...(landed.length > 1 ? ['millrace_part DESC'] : []), 'millrace_place DESC'].join(', ');
}

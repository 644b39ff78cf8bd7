import { changeKinds, type SourceTransaction } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier } from '../identifier.ts';
import { arrayForm, arrayParameter, textParameter } from './array-parameter.ts';
import { type CompactedHistory, compactHistory, type KeyedRows, type Versions } from './history-compact.ts';
import { type Act, isWhole, Parameters } from './mirror-acts.ts';
import { rowsOf, sameKey, value } from './mirror-sql.ts';
import { keyOf, movesKey, type OneChange, valuesAfter } from './one-change.ts';
import { history, versionPosition } from './settings.ts';
import { statement } from './statement.ts';
import type { TargetTable } from './target-table.ts';
import type { Turns } from './turns.ts';
import { incoming, missingRows, type TableParts } from './write-mirror.ts';

/*
 * A version of a row is what a transaction has left of it: valid from the time of its commit until that of the next one that changed the
 * row, both by the source's clock. Where that clock goes back, a version begins when the one before it did. `_position` is the commit that
 * made the version; with the key it is unique, so no version can come twice.
 */

const from = quoteIdentifier(history.validFrom);
const to = quoteIdentifier(history.validTo);
const current = quoteIdentifier(history.isCurrent);
const position = quoteIdentifier(versionPosition);

export async function writeHistory(
  { session }: Turns,
  tables: readonly TableParts[],
  transactions: readonly SourceTransaction[],
  continued: boolean,
): Promise<boolean> {
  const works: (TableParts & { readonly compacted: CompactedHistory })[] = [];
  for (const table of tables) {
    const compacted = compactHistory(table.parts, table.target.key);
    if (!compacted) return false;
    works.push({ ...table, compacted });
  }
  const clock = risingTimes(transactions);
  for (const work of works) {
    await endCurrent(session, work, { ...work.compacted.ended, continued }, transactions, clock);
    for (const versions of work.compacted.versions) await insertVersions(session, work, versions, transactions, clock);
  }
  return true;
}

function risingTimes(transactions: readonly SourceTransaction[]): string[] {
  let latest = '';
  return transactions.map(({ committedAt }) => {
    if (committedAt > latest) latest = committedAt;
    return latest;
  });
}

async function endCurrent(
  session: Session,
  { target }: TableParts,
  { pieces, transactions: ends, continued }: KeyedRows & { readonly continued: boolean },
  transactions: readonly SourceTransaction[],
  clock: readonly string[],
): Promise<void> {
  if (ends.length === 0) return;
  const key = target.key.map((name) => ({ column: target.columns.get(name)!, form: arrayForm(pieces, name) }));
  const keys = key.map(({ column, form }) => arrayParameter(pieces, column.name, form));
  const positions = textParameter(ends.map((transaction) => transactions[transaction]!.commit));
  const at = key.length;
  if (continued) {
    // Versions that an earlier part of the same transaction has made, and that nobody has seen.
    const text = `DELETE FROM ${target.quoted} AS t USING ${rowsOf(key, ['text[]'])} WHERE ${sameKey(target, key)} AND t.${current} AND t.${position} = u.c${at}`;
    const { affected } = await session.prepared(statement(text), [...keys, positions], target.shown);
    if (affected !== 0) throw missingRows(target, affected ?? 0); // their values may be needed: one by one
  }
  const times = textParameter(ends.map((transaction) => clock[transaction]!));
  const text = `UPDATE ${target.quoted} AS t SET ${to} = greatest(u.c${at}::timestamptz, t.${from}), ${current} = false FROM ${rowsOf(key, ['text[]'])} WHERE ${sameKey(target, key)} AND t.${current}`;
  await session.prepared(statement(text), [...keys, times], target.shown);
}

async function insertVersions(
  session: Session,
  work: TableParts,
  versions: Versions,
  transactions: readonly SourceTransaction[],
  clock: readonly string[],
): Promise<void> {
  const { target } = work;
  const { pieces, unknown, ends } = versions;
  const columns = incoming(work, pieces, unknown);
  const others = unknown.flatMap((name) => target.columns.get(name)?.quoted ?? []);
  const values = [
    ...columns.map(({ column, form }) => arrayParameter(pieces, column.name, form)),
    textParameter(versions.transactions.map((transaction) => clock[transaction]!)),
    textParameter(ends.map((transaction) => (transaction === null ? null : clock[transaction]!))),
    textParameter(versions.transactions.map((transaction) => transactions[transaction]!.commit)),
  ];
  const [begins, ended, commit] = [0, 1, 2].map((more) => `u.c${columns.length + more}`) as [string, string, string];
  const text = `INSERT INTO ${target.quoted} (${[...columns.map(({ column }) => column.quoted), ...others, from, to, current, position].join(', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${[...columns.map(value), ...others.map((name) => `b.${name}`)].join(', ')}, greatest(${begins}::timestamptz, b.${from}),
      CASE WHEN ${ended} IS NOT NULL THEN greatest(${ended}::timestamptz, b.${from}) END, ${ended} IS NULL, ${commit}
    FROM ${rowsOf(columns, ['text[]', 'text[]', 'text[]'])}
    LEFT JOIN LATERAL (SELECT * FROM ${target.quoted} AS t WHERE ${sameKey(target, columns)} ORDER BY t.${position} DESC LIMIT 1) AS b ON true
    ${others.length > 0 ? `WHERE b.${position} IS NOT NULL` : ''}`;
  const { affected } = await session.prepared(statement(text), values, target.shown);
  if (affected !== ends.length) throw missingRows(target, ends.length - (affected ?? 0));
}

export function historyActs(change: OneChange): Act[] {
  const { part, row } = change;
  if (part.kinds[row] === changeKinds.delete) return endByKey(change);
  const version = oneVersion(change);
  return part.kinds[row] === changeKinds.update && movesKey(change) ? [version, ...endByKey(change)] : [endBefore(change), version];
}

/** The version that is current ends, if another transaction made it. */
function endBefore(change: OneChange): Act {
  const { target, transaction } = change;
  const parameters = new Parameters();
  const [time, commit] = [parameters.text(transaction.committedAt), parameters.text(transaction.commit)];
  const text = `UPDATE ${target.quoted} AS t SET ${to} = greatest(${time}::timestamptz, t.${from}), ${current} = false WHERE ${parameters.same(keyOf(change))} AND t.${current} AND t.${position} <> ${commit}`;
  return { text, values: parameters.values };
}

function endByKey(change: OneChange): Act[] {
  const { target, transaction } = change;
  const parameters = new Parameters();
  const commit = parameters.text(transaction.commit);
  const text = `DELETE FROM ${target.quoted} AS t WHERE ${parameters.same(keyOf(change))} AND t.${current} AND t.${position} = ${commit}`;
  return [{ text, values: parameters.values }, endBefore(change)];
}

/** What did not come is taken from the last version of the row, under the key it had. A second one by the same transaction takes its place. */
function oneVersion(change: OneChange): Act {
  const { target, transaction, columns } = change;
  const after = valuesAfter(change);
  const parameters = new Parameters();
  const given = after.map((one) => parameters.add(one));
  const others = columns.flatMap((column) => (column && !after.some((one) => one.column === column) ? [column.quoted] : []));
  const [time, commit] = [parameters.text(transaction.committedAt), parameters.text(transaction.commit)];
  const names = [...after.map(({ column }) => column.quoted), ...others];
  const text = `INSERT INTO ${target.quoted} (${[...names, from, current, position].join(', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${[...given, ...others.map((name) => `b.${name}`)].join(', ')}, greatest(${time}::timestamptz, b.${from}), true, ${commit}
    FROM (SELECT) AS one LEFT JOIN LATERAL (SELECT * FROM ${target.quoted} AS t WHERE ${parameters.same(keyOf(change))} ORDER BY t.${position} DESC LIMIT 1) AS b ON true
    ${isWhole(change, after) ? '' : `WHERE b.${position} IS NOT NULL`}
    ON CONFLICT (${[...target.key.map((name) => target.columns.get(name)!.quoted), position].join(', ')})
    DO UPDATE SET ${[...names, to, current].map((name) => `${name} = excluded.${name}`).join(', ')}`;
  return { text, values: parameters.values, otherwise: 'refuse' };
}

export async function truncateHistory(session: Session, targets: readonly TargetTable[], transaction: SourceTransaction): Promise<void> {
  for (const { quoted, shown } of targets) {
    await session.query(`DELETE FROM ${quoted} WHERE ${current} AND ${position} = $1`, [transaction.commit], shown);
    await session.query(
      `UPDATE ${quoted} SET ${to} = greatest($1::timestamptz, ${from}), ${current} = false WHERE ${current}`,
      [transaction.committedAt],
      shown,
    );
  }
}

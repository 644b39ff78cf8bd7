import { createHash } from 'node:crypto';
import { type ColumnBatch, MillraceError, type Split, type StagedPart } from '@millrace/core/runtime';
import { quoteIdentifier } from '../identifier.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { loadBatches, type Rejecting } from './copy-in.ts';
import { passing } from './failpoints.ts';
import { notFenced } from './fence.ts';
import { ledger, prefix } from './ledger.ts';
import { type LoadWork, shownName } from './load-work.ts';
import { ordinal } from './ordinal.ts';
import { strayFinder } from './strays.ts';

/**
 * One split, in a table of its own. The table and its entry are made first, since DDL commits by itself: an entry without a count is a
 * part that did not come to its end, and rows and count are committed together.
 */
export async function stagePart(work: LoadWork, session: Session, split: Split, batches: AsyncIterable<ColumnBatch>): Promise<StagedPart> {
  const earlier = await earlierPart(work, session, split);
  if (earlier) return earlier;
  const { load, fence } = work;
  // Two runs may load under one id (of one window), and each counts its attempts from one.
  const identity = `${load.id}\n${split.id}\n${fence.key}`;
  const name = `${prefix}part_${createHash('sha256').update(identity).digest('hex').slice(0, 24)}_${fence.epoch}`;
  const quoted = quoteIdentifier(name);
  await notFenced(session, fence);
  await session.execute(
    `INSERT INTO ${ledger('staged')} (name, load_id, split, epoch, fence_key) VALUES (${[quoted, load.id, split.id, fence.epoch, fence.key].map(literal).join(', ')}) ON DUPLICATE KEY UPDATE rows_ = NULL`,
  );
  await session.execute(`DROP TABLE IF EXISTS ${quoted}`);
  await session.execute(stagingTable(quoted, work));
  const rejecting: Rejecting | null = load.reject
    ? { split: split.id, reject: load.reject, strays: await strayFinder(session, quoted, work.table, work.landing) }
    : null;
  await session.execute('START TRANSACTION');
  const { rows, bytes } = await loadBatches(work, session, quoted, batches, rejecting);
  await session.execute(`UPDATE ${ledger('staged')} SET rows_ = ${rows}, bytes_ = ${bytes} WHERE name = ${literal(quoted)}`);
  passing('mysql.staged.copied');
  await session.execute('COMMIT');
  passing('mysql.staged.committed');
  return partOf(split.id, { name, rows, bytes });
}

const partOf = (split: string, { name, rows, bytes }: { name: string; rows: number; bytes: number }): StagedPart => ({
  split,
  rows,
  bytes,
  detail: { table: name },
});

/**
 * A part that this attempt has staged before: the same split holds the same rows, so nothing is read. One of another run of the same
 * window may have been cut otherwise.
 */
async function earlierPart({ load, fence }: LoadWork, session: Session, split: Split): Promise<StagedPart | null> {
  const [row] = await session.query(
    `SELECT name, rows_, bytes_ FROM ${ledger('staged')} WHERE load_id = ${literal(load.id)} AND split = ${literal(split.id)} AND epoch = ${fence.epoch} AND fence_key = ${literal(fence.key)} AND rows_ IS NOT NULL`,
  );
  return row
    ? partOf(split.id, { name: (row['name'] ?? '').slice(1, -1), rows: Number(row['rows_']), bytes: Number(row['bytes_']) })
    : null;
}

/** Columns of the target's own types, so that what does not fit is found while its split is staged; then the ordinal. */
const stagingTable = (name: string, { landing }: LoadWork): string =>
  `CREATE TABLE ${name} (${[...landing.columns.map(({ definition }) => definition), `${ordinal} bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY`].join(', ')}) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`;

/** Those of these parts that still hold as many rows as were staged. */
export async function wholeParts({ load }: LoadWork, session: Session, parts: readonly StagedPart[]): Promise<StagedPart[]> {
  const staged = await session.query(
    `SELECT name, rows_ FROM ${ledger('staged')} WHERE load_id = ${literal(load.id)} AND rows_ IS NOT NULL`,
  );
  const rows = new Map(staged.map((row) => [row['name'], row['rows_']]));
  const whole: StagedPart[] = [];
  for (const part of parts) {
    const name = quoteIdentifier(String(part.detail['table']));
    if (rows.get(name) !== String(part.rows)) continue;
    const [counted] = await session.query(`SELECT COUNT(*) AS rows_ FROM ${name}`);
    if (counted?.['rows_'] === String(part.rows)) whole.push(part);
  }
  return whole;
}

/** The parts' tables, quoted, in the order of the parts. @throws WIRE_CORRUPT where one is not whole */
export async function checkedTables(work: LoadWork, session: Session, parts: readonly StagedPart[]): Promise<string[]> {
  const whole = new Set(await wholeParts(work, session, parts));
  const lost = parts.find((part) => !whole.has(part));
  if (!lost) return parts.map(({ detail }) => quoteIdentifier(String(detail['table'])));
  throw new MillraceError('WIRE_CORRUPT', {
    message: `Split ${lost.split} was staged for ${shownName(work)} with ${lost.rows} rows, which are not there any more: somebody changed its part.`,
    remedy: 'Nothing to do: the splits are staged again.',
    facts: { split: lost.split, staged: lost.rows },
  });
}

/** Notes a table of an attempt's own before it is made, so that a crash does not leave it for ever. `name` is quoted. */
export async function noteTable(session: Session, { load, fence }: LoadWork, name: string): Promise<void> {
  await session.execute(
    `INSERT INTO ${ledger('staged')} (name, load_id, split, epoch, fence_key) VALUES (${[name, load.id, '', fence.epoch, fence.key].map(literal).join(', ')}) ON DUPLICATE KEY UPDATE rows_ = NULL`,
  );
}

/** What earlier attempts, finished loads and loads that nobody went on with have left. */
export async function dropLeftovers({ load, fence }: LoadWork, session: Session): Promise<void> {
  const reusable = load.plan?.continuesEarlier ? load.id : '';
  await dropParts(
    session,
    `(fence_key = ${literal(fence.key)} AND epoch < ${fence.epoch} AND load_id <> ${literal(reusable)}) OR staged_at < CURRENT_TIMESTAMP - INTERVAL 7 DAY
     OR EXISTS (SELECT 1 FROM ${ledger('applied')} AS a WHERE a.load_id = s.load_id)`,
  );
}

/**
 * Tables first, then their entries: what a crash leaves in between is dropped again. `where` speaks of the entries as `s`. Tables of an
 * announced swap are left to whoever settles it: without them nobody could tell whether it has happened.
 */
export async function dropParts(session: Session, where: string): Promise<void> {
  const names = (
    await session.query(
      `SELECT name FROM ${ledger('staged')} AS s WHERE (${where}) AND NOT EXISTS (SELECT 1 FROM ${ledger('swap')} AS w WHERE s.name IN (w.built, w.retired))`,
    )
  ).map((row) => row['name'] ?? '');
  for (const name of names) {
    await session.execute(`DROP TABLE IF EXISTS ${name}`);
    await session.execute(`DELETE FROM ${ledger('staged')} WHERE name = ${literal(name)}`);
    passing('mysql.staged.dropped');
  }
}

import { createHash } from 'node:crypto';
import { type Fence, isMillraceError, type LoadSpec, MillraceError, type Receipt } from '@millrace/core/runtime';
import { quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { findApplied, holdOwner, recordLoad } from './checkpoint.ts';
import { passing } from './failpoints.ts';
import { holdFence } from './fence.ts';
import { ledger, prefix, transaction } from './ledger.ts';
import { type LoadWork, quotedTarget } from './load-work.ts';
import { noteTable } from './parts.ts';

/*
 * A table that takes another's place. RENAME TABLE commits by itself, so it cannot share a transaction with the checkpoint; it is the one
 * act that counts, and the ledger follows it:
 *
 *   built ─▶ announced (a row of `swap`, under the fence) ─▶ RENAME target TO retired, built TO target ─▶ settled (receipt, checkpoint)
 *
 * Whether an announced swap has happened is told by one thing that nobody can change meanwhile: whether the built table is still there
 * under its name. Whoever comes after a crash drops it. If that succeeds, the swap has not happened and never will, also not by an
 * attempt that wakes up late: its RENAME finds nothing to rename. If there is nothing to drop, the swap has happened, and its receipt and
 * checkpoint are noted from the announcement.
 */

export interface Announced {
  readonly built: string;
  readonly target: string;
  readonly retired: string;
  readonly load: Pick<LoadSpec, 'id' | 'owner' | 'run' | 'runAt'>;
  readonly receipt: Receipt;
}

/** Foreign keys and triggers stay with the table that they were made for, so such a table is emptied and filled again instead. */
export async function reasonsAgainst(session: Session, { table }: Pick<LoadWork, 'table'>): Promise<string[]> {
  const at = (schema: string, name: string): string => `${schema} = ${literal(table.database)} AND ${name} = ${literal(table.name)}`;
  const [found] = await session.query(
    `SELECT (SELECT COUNT(*) FROM information_schema.triggers WHERE ${at('event_object_schema', 'event_object_table')}) AS triggers_,
       (SELECT COUNT(*) FROM information_schema.key_column_usage WHERE ${at('table_schema', 'table_name')} AND referenced_table_name IS NOT NULL) AS outward,
       (SELECT COUNT(*) FROM information_schema.key_column_usage WHERE ${at('referenced_table_schema', 'referenced_table_name')}) AS inward`,
  );
  return [
    ...(found?.['triggers_'] === '0' ? [] : ['it has triggers']),
    ...(found?.['outward'] === '0' ? [] : ['it has foreign keys']),
    ...(found?.['inward'] === '0' ? [] : ['other tables refer to it']),
  ];
}

/** An empty table like the target, beside it; of each attempt its own. Quoted. */
export async function buildBeside(session: Session, work: LoadWork): Promise<string> {
  const { load, fence, table } = work;
  const name = `${prefix}built_${createHash('sha256').update(load.id).digest('hex').slice(0, 24)}_${fence.epoch}`;
  const built = quoteName({ database: table.database, name });
  await noteTable(session, work, built);
  await session.execute(`DROP TABLE IF EXISTS ${built}`);
  await session.execute(`CREATE TABLE ${built} LIKE ${quoteName({ database: table.database, name: table.name })}`);
  return built;
}

/** Nobody has announced it: a table that is of no use any more. */
export const dropBuilt = (session: Session, built: string): Promise<unknown> => session.execute(`DROP TABLE IF EXISTS ${built}`);

/** Under the fence, in one transaction: from here on the swap may happen at any moment. */
export async function announce(session: Session, work: LoadWork, built: string, receipt: Receipt): Promise<Announced> {
  const { fence, table } = work;
  const { id, owner, run, runAt } = work.load;
  const retired = quoteName({
    database: table.database,
    name: `${prefix}retired_${createHash('sha256').update(id).digest('hex').slice(0, 24)}_${fence.epoch}`,
  });
  const announced: Announced = { built, target: quotedTarget(work), retired, load: { id, owner, run, runAt }, receipt };
  await noteTable(session, work, retired);
  const values = [built, announced.target, retired, JSON.stringify(announced.load), JSON.stringify(receipt)];
  await session.execute(
    `INSERT INTO ${ledger('swap')} (built, target, retired, load_, receipt) VALUES (${values.map(literal).join(', ')})`,
  );
  return announced;
}

/** @throws ATTEMPT_FENCED, LOAD_CONFLICT where another attempt has taken the built table away */
export async function swapIn(session: Session, fence: Fence, announced: Announced): Promise<void> {
  const { target, retired, built } = announced;
  try {
    await session.execute(`RENAME TABLE ${target} TO ${retired}, ${built} TO ${target}`, target);
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'TABLE_MISSING') throw error;
    await transaction(session, () => holdFence(session, fence));
    throw new MillraceError('LOAD_CONFLICT', {
      message: `${target} was about to be replaced, and another load of it has come in between.`,
      remedy: 'Nothing to do: it is tried again.',
      cause: error,
    });
  }
  passing('mysql.replace.swapped');
  await note(session, fence, announced);
}

/** Brings what earlier attempts have announced for this table to its end, whichever that is. */
export async function settle(session: Session, fence: Fence, target: string): Promise<void> {
  for (const announced of await announcedFor(session, `target = ${literal(target)}`)) {
    const { built, retired } = announced;
    // A server without atomic DDL may have died between the two renames.
    if (!(await exists(session, target)) && (await exists(session, retired))) await session.execute(`RENAME TABLE ${retired} TO ${target}`);
    if (await dropped(session, built)) await session.execute(`DELETE FROM ${ledger('swap')} WHERE built = ${literal(built)}`);
    else await note(session, fence, announced);
    passing('mysql.replace.settled');
  }
}

/** False where there is no such table, nor will there be. */
export async function dropped(session: Session, built: string): Promise<boolean> {
  try {
    await session.execute(`DROP TABLE ${built}`);
    return true;
  } catch (error) {
    if (isMillraceError(error) && error.code === 'TABLE_MISSING') return false;
    throw error;
  }
}

/** Of a swap that has happened, and that nobody has noted yet, for those who only look. */
export async function swappedCheckpoint(session: Session, owner: LoadSpec['owner']): Promise<Receipt['checkpoint'] | null> {
  for (const { load, built, receipt } of await announcedFor(session, 'TRUE')) {
    const isOwners = load.owner.pipeline === owner.pipeline && load.owner.step === owner.step;
    if (isOwners && !(await exists(session, built))) return receipt.checkpoint;
  }
  return null;
}

async function note(session: Session, fence: Fence, { load, receipt, retired, built }: Announced): Promise<void> {
  await transaction(session, async () => {
    await holdOwner(session, load.owner);
    await holdFence(session, fence);
    if (!(await findApplied(session, load.id))) await recordLoad(session, load, receipt);
    await session.execute(`DELETE FROM ${ledger('swap')} WHERE built = ${literal(built)}`);
  });
  await session.execute(`DROP TABLE IF EXISTS ${retired}`);
}

async function announcedFor(session: Session, where: string): Promise<Announced[]> {
  const rows = await session.query(`SELECT built, target, retired, load_, receipt FROM ${ledger('swap')} WHERE ${where}`);
  return rows.map((row) => ({
    built: row['built'] ?? '',
    target: row['target'] ?? '',
    retired: row['retired'] ?? '',
    load: JSON.parse(row['load_'] ?? '{}') as Announced['load'],
    receipt: JSON.parse(row['receipt'] ?? '{}') as Receipt,
  }));
}

/** `name` is quoted, as the ledger has it. */
export async function exists(session: Session, name: string): Promise<boolean> {
  const [database = '', table = ''] = [...name.matchAll(/`((?:[^`]|``)+)`/g)].map(([, part = '']) => part.replaceAll('``', '`'));
  const rows = await session.query(
    `SELECT 1 AS there FROM information_schema.tables WHERE table_schema = ${literal(database)} AND table_name = ${literal(table)}`,
  );
  return rows.length > 0;
}

import { createHash, randomBytes } from 'node:crypto';
import { type Fence, isMillraceError, type LoadSpec, MillraceError, type Receipt } from '@millrace/core/runtime';
import { quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { findApplied, holdOwner, recordLoad } from './checkpoint.ts';
import { passing } from './failpoints.ts';
import { holdFence } from './fence.ts';
import { type Grants, grantsOf } from './grants.ts';
import { ledger, prefix, transaction } from './ledger.ts';
import { type LoadWork, quotedTarget } from './load-work.ts';
import { noteTable } from './parts.ts';

/*
 * A table that takes another's place. RENAME TABLE commits by itself, so it cannot share a transaction with the checkpoint; it is the one
 * act that counts, and the ledger follows it:
 *
 *   built ─▶ announced (a row of `swap`, under the fence) ─▶ RENAME target TO retired, built TO target ─▶ settled (receipt, checkpoint)
 *
 * Whether an announced swap has happened is told by the retired table: only the RENAME makes it, under a name by chance, and it is taken
 * away only after the swap was noted. That the built table is gone tells nothing, since whoever settles drops it. Whoever comes after a
 * crash looks for the retired table. If it is there, the swap has happened, and its receipt and checkpoint are noted from the
 * announcement. If not, the built table is dropped: then the swap cannot happen any more either, also not by an attempt that wakes up
 * late, whose RENAME finds nothing to rename. If that attempt was quicker there is nothing to drop, and the retired table is there now.
 */

export interface Announced {
  readonly built: string;
  readonly target: string;
  readonly retired: string;
  readonly load: Pick<LoadSpec, 'id' | 'owner' | 'run' | 'runAt'>;
  readonly receipt: Receipt;
}

/**
 * Foreign keys and triggers stay with the table that they were made for, so such a table is emptied and filled again instead; so is one
 * of which this user cannot see whether it has any.
 */
export async function reasonsAgainst(session: Session, { table }: Pick<LoadWork, 'table'>): Promise<string[]> {
  const grants = await grantsOf(session);
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
    ...(grants.on('TRIGGER', table) ? [] : ['without TRIGGER on it this user does not see its triggers']),
    ...(await unseenReferences(session, grants, table)),
  ];
}

/** Tables of databases in which this user has no rights may refer to it. InnoDB knows of all, and tells whoever has PROCESS. */
async function unseenReferences(session: Session, grants: Grants, { database, name }: LoadWork['table']): Promise<string[]> {
  if (grants.everywhere('SELECT')) return [];
  // Other names are written there in a way of InnoDB's own.
  if (!grants.everywhere('PROCESS') || !/^\w+$/.test(`${database}${name}`))
    return ['without PROCESS or SELECT on all databases this user does not see whether tables elsewhere refer to it'];
  const keys = `information_schema.${session.server.flavour === 'mysql' ? 'innodb_foreign' : 'innodb_sys_foreign'}`;
  const found = await session.query(
    `SELECT 1 AS there FROM ${keys} WHERE LOWER(ref_name) = ${literal(`${database}/${name}`.toLowerCase())} LIMIT 1`,
  );
  return found.length === 0 ? [] : ['tables elsewhere refer to it'];
}

/** Two runs may load under one id (of one window), and each counts its attempts from one. */
const attemptHash = ({ load, fence }: LoadWork): string =>
  createHash('sha256').update(`${load.id}\n${fence.key}`).digest('hex').slice(0, 24);

/** An empty table like the target, beside it; of each attempt its own. Quoted. */
export async function buildBeside(session: Session, work: LoadWork): Promise<string> {
  const { fence, table } = work;
  const name = `${prefix}built_${attemptHash(work)}_${fence.epoch}`;
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
  const { id, owner, run, runAt } = work.load;
  // By chance: no earlier swap can have left a table of this name.
  const name = `${prefix}retired_${attemptHash(work).slice(0, 16)}_${randomBytes(8).toString('hex')}`;
  const retired = quoteName({ database: work.table.database, name });
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

/** Brings what earlier attempts have announced for this table or this owner to its end, whichever that is. */
export async function settle(session: Session, fence: Fence, target: string, owner: LoadSpec['owner']): Promise<void> {
  for (const announced of await announcedFor(session, target, owner)) {
    await settleOne(session, fence, announced);
    passing('mysql.replace.settled');
  }
}

/** After this line it has happened and is noted, or it has not and never will. */
export async function settleOne(session: Session, fence: Fence, announced: Announced): Promise<void> {
  if (await hasSwapped(session, { ...announced, beside: announced.built })) return note(session, fence, announced);
  passing('mysql.replace.withdrawn');
  await session.execute(`DELETE FROM ${ledger('swap')} WHERE built = ${literal(announced.built)}`);
}

/**
 * Whether the table beside the target has taken its place. Where it has not it is dropped, so that it never will: an answer for good,
 * whatever happens meanwhile and however often it is asked for, as long as nobody takes the retired table away. All names are quoted.
 */
export async function hasSwapped(
  session: Session,
  { target, retired, beside }: { readonly target: string; readonly retired: string; readonly beside: string },
): Promise<boolean> {
  // A server without atomic DDL may have died between the two renames.
  if (!(await exists(session, target)) && (await exists(session, retired)) && (await exists(session, beside)))
    await session.execute(`RENAME TABLE ${retired} TO ${target}`);
  if (await exists(session, retired)) return true;
  try {
    await session.execute(`DROP TABLE ${beside}`);
    return false;
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'TABLE_MISSING') throw error;
    // It was renamed since the look, or somebody dropped it before.
    return exists(session, retired);
  }
}

/** What is announced for the table, or by the owner. The declaration may write the name in other case than the catalog does. */
async function announcedFor(session: Session, target: string, owner: LoadSpec['owner']): Promise<Announced[]> {
  const isTargets = (one: Announced): boolean => one.target.toLowerCase() === target.toLowerCase();
  return (await allAnnounced(session)).filter((one) => isTargets(one) || isOwners(one, owner));
}

const isOwners = ({ load }: Announced, { pipeline, step }: LoadSpec['owner']): boolean =>
  load.owner.pipeline === pipeline && load.owner.step === step;

/**
 * Under the owner's lock, which an announcement is made under too: until an announced swap is noted or withdrawn, the checkpoint tells
 * nothing, and rows that are written now may be for the table that is about to go. @throws LOAD_CONFLICT
 */
export async function assertNoneAnnounced(session: Session, { load, table }: LoadWork, target: string): Promise<void> {
  const [other] = await announcedFor(session, target, load.owner);
  if (!other) return;
  throw new MillraceError('LOAD_CONFLICT', {
    message: `${table.database}.${table.name} is about to be replaced by load ${other.load.id} of run ${other.load.run}.`,
    remedy: 'Nothing to do: it is tried again, and finds out first what became of that.',
    facts: { load: other.load.id, run: other.load.run },
  });
}

/** Of a swap that has happened, and that nobody has noted yet, for those who only look. */
export async function swappedCheckpoint(session: Session, owner: LoadSpec['owner']): Promise<Receipt['checkpoint'] | null> {
  for (const announced of await allAnnounced(session))
    if (isOwners(announced, owner) && (await exists(session, announced.retired))) return announced.receipt.checkpoint;
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

async function allAnnounced(session: Session): Promise<Announced[]> {
  const rows = await session.query(`SELECT built, target, retired, load_, receipt FROM ${ledger('swap')}`);
  return rows.map((row) => ({
    built: row['built'] ?? '',
    target: row['target'] ?? '',
    retired: row['retired'] ?? '',
    load: JSON.parse(row['load_'] ?? '{}') as Announced['load'],
    receipt: JSON.parse(row['receipt'] ?? '{}') as Receipt,
  }));
}

/** `name` is quoted. The table itself is asked, not the catalog: that waits for a RENAME that is on its way, and sees what it did. */
async function exists(session: Session, name: string): Promise<boolean> {
  try {
    await session.query(`SELECT 1 AS there FROM ${name} LIMIT 0`);
    return true;
  } catch (error) {
    if (isMillraceError(error) && error.code === 'TABLE_MISSING') return false;
    throw error;
  }
}

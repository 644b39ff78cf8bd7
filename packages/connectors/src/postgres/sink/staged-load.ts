import { createHash } from 'node:crypto';
import { type Channel, type Fence, type LoadSession, MillraceError, type Split, type StagedPart } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteName } from '../identifier.ts';
import { commitLoad } from './commit-load.ts';
import type { Rejecting } from './copy-into.ts';
import { copyPart, expectEnd } from './copy-part.ts';
import { passing } from './failpoints.ts';
import { transaction } from './ledger.ts';
import { attemptSession, type LoadWork, shownName, stagingStatements } from './load-work.ts';
import { stagedRows } from './staged-rows.ts';
import { strayFinder } from './strays.ts';

/**
 * A load whose splits are staged side by side, by this process or by several: each in a table of its own in `_millrace`, committed
 * together with the note of its rows. One transaction then brings them all into the target.
 */
export async function stagedLoad(work: LoadWork, session: Session): Promise<LoadSession> {
  const { load, mode } = work;
  passing('postgres.staged.begun');
  const idle: Session[] = [];
  const busy = new Set<Session>();

  async function stage(split: Split, channel: Channel): Promise<StagedPart> {
    expectEnd(channel);
    const own = idle.pop() ?? (await attemptSession(work));
    busy.add(own);
    try {
      const part = (await earlierPart(work, own, split, channel)) ?? (await stagePart(work, own, split, channel));
      idle.push(own);
      return part;
    } catch (error) {
      await own.kill();
      throw error;
    } finally {
      busy.delete(own);
    }
  }

  return {
    applied: null,
    shared: true,
    stage,
    recover: (parts) => wholeParts(work, session, parts),
    async commit(parts, checkpoint) {
      await session.execute('BEGIN ISOLATION LEVEL READ COMMITTED');
      try {
        const rows = stagedRows(await checkedTables(work, session, parts), work.landing, load.window?.column ?? null);
        passing(`postgres.${mode}.begun`);
        const receipt = await commitLoad(work, session, { at: 'staging', rows }, parts, checkpoint);
        await dropParts(session, await partsOf(session, 'load_id = $1', [load.id])).catch(() => {}); // else the next load does it
        return receipt;
      } catch (error) {
        await session.execute('ROLLBACK').catch(() => {});
        throw error;
      }
    },
    async abort() {
      for (const one of busy) await one.kill();
      const { key, epoch } = work.fence;
      const own = await partsOf(session, 'load_id = $1 AND epoch = $2 AND fence_key = $3', [load.id, epoch, key]).catch(() => []);
      await dropParts(session, own).catch(() => {});
    },
    async [Symbol.asyncDispose]() {
      for (const one of busy) await one.kill();
      for (const one of [...idle, session]) await one[Symbol.asyncDispose]();
    },
  };
}

/**
 * The split's name in the ledger. Two runs may load under one id (of one window), each counts its attempts from one, and each cuts its
 * splits for itself: what one of them has left is no part of the other.
 */
const entryOf = (split: Split, fence: Fence): string => `${split.id} of ${fence.key}`;

/** A part that this attempt has staged before: the same split holds the same rows, so nothing is read. */
async function earlierPart({ load, fence }: LoadWork, session: Session, split: Split, channel: Channel): Promise<StagedPart | null> {
  const [row] = await session.query('SELECT name, rows, bytes FROM _millrace.staged WHERE load_id = $1 AND split = $2 AND epoch = $3', [
    load.id,
    entryOf(split, fence),
    fence.epoch,
  ]);
  if (!row) return null;
  if (channel.format !== 'batches') channel.stream.destroy();
  return partOf(split, { name: row['name'] as string, rows: Number(row['rows']), bytes: Number(row['bytes']) });
}

const partOf = (split: Split, { name, rows, bytes }: { name: string; rows: number; bytes: number }): StagedPart => ({
  split: split.id,
  rows,
  bytes,
  detail: { table: name },
});

function stagePart(work: LoadWork, session: Session, split: Split, channel: Channel): Promise<StagedPart> {
  const { load, fence, table, context } = work;
  const entry = entryOf(split, fence);
  const name = `part_${createHash('sha256').update(`${load.id}\n${entry}`).digest('hex').slice(0, 24)}_${fence.epoch}`;
  const quoted = quoteName({ schema: '_millrace', name });
  return transaction(session, async () => {
    await notFenced(work, session);
    for (const statement of stagingStatements(work, quoted, 'UNLOGGED')) await session.execute(statement);
    const strays = load.reject ? await strayFinder(session, quoted, table, work.landing) : null;
    const rejecting: Rejecting | null = load.reject ? { split: split.id, reject: load.reject, ...(strays && { strays }) } : null;
    const { rows, bytes } = await copyPart(
      { session, table: quoted, object: shownName(table), progress: context.progress },
      channel,
      rejecting,
    );
    await session.execute(
      'INSERT INTO _millrace.staged (load_id, split, epoch, fence_key, name, rows, bytes) VALUES ($1, $2, $3, $4, $5, $6, $7)',
      [load.id, entry, fence.epoch, fence.key, name, rows, bytes],
    );
    passing('postgres.staged.copied');
    return partOf(split, { name, rows, bytes });
  }).then((part) => {
    passing('postgres.staged.committed');
    return part;
  });
}

/** An attempt that wakes up late stages nothing more. @throws ATTEMPT_FENCED */
async function notFenced({ fence }: LoadWork, session: Session): Promise<void> {
  const [row] = await session.query('SELECT epoch FROM _millrace.fence WHERE key = $1', [fence.key]);
  if (row?.['epoch'] === String(fence.epoch)) return;
  throw new MillraceError('ATTEMPT_FENCED', {
    message: `A newer attempt at ${fence.key} has taken over.`,
    remedy: 'Nothing to do: the newer attempt goes on.',
  });
}

/** Parts of earlier attempts whose tables still hold as many rows as were staged: a crash of the database empties unlogged tables. */
async function wholeParts(work: LoadWork, session: Session, parts: readonly StagedPart[]): Promise<StagedPart[]> {
  const there = new Set((await partsOf(session, 'load_id = $1', [work.load.id])).map(({ name }) => name));
  const whole: StagedPart[] = [];
  for (const part of parts) {
    const name = String(part.detail['table']);
    if (!there.has(name)) continue;
    const [row] = await session.query(`SELECT count(*) AS rows FROM ${quoteName({ schema: '_millrace', name })}`);
    if (row?.['rows'] === String(part.rows)) whole.push(part);
  }
  return whole;
}

/** The parts' tables, in the order of the parts. @throws WIRE_CORRUPT where one is not whole */
async function checkedTables(work: LoadWork, session: Session, parts: readonly StagedPart[]): Promise<string[]> {
  const whole = new Set(await wholeParts(work, session, parts));
  const lost = parts.find((part) => !whole.has(part));
  if (!lost) return parts.map(({ detail }) => quoteName({ schema: '_millrace', name: String(detail['table']) }));
  throw new MillraceError('WIRE_CORRUPT', {
    message: `Split ${lost.split} was staged for ${shownName(work.table)} with ${lost.rows} rows, which are not there any more: the database has restarted since, or somebody changed its part.`,
    remedy: 'Nothing to do: the splits are staged again.',
    facts: { split: lost.split, staged: lost.rows },
  });
}

interface Part {
  readonly name: string;
  readonly loadId: string;
  readonly split: string;
  readonly epoch: string;
}

async function partsOf(session: Session, where: string, values: readonly (string | number)[]): Promise<Part[]> {
  const rows = await session.query(`SELECT name, load_id, split, epoch FROM _millrace.staged WHERE ${where}`, values);
  return rows.map((row) => ({
    name: row['name'] as string,
    loadId: row['load_id'] as string,
    split: row['split'] as string,
    epoch: row['epoch'] as string,
  }));
}

/** What earlier attempts, finished loads and loads that nobody went on with have left. */
export async function dropLeftovers({ load, fence }: LoadWork, session: Session): Promise<void> {
  const reusable = load.plan?.continuesEarlier ? load.id : '';
  const left = await partsOf(
    session,
    `(fence_key = $1 AND epoch < $2 AND load_id <> $3) OR staged_at < now() - interval '7 days'
     OR EXISTS (SELECT FROM _millrace.applied a WHERE a.load_id = staged.load_id)`,
    [fence.key, fence.epoch, reusable],
  );
  await dropParts(session, left);
}

/** One by one: a transaction that drops hundreds of tables could need more locks than the server has. */
async function dropParts(session: Session, parts: readonly Part[]): Promise<void> {
  for (const part of parts) {
    await transaction(session, async () => {
      await session.execute(`DROP TABLE IF EXISTS ${quoteName({ schema: '_millrace', name: part.name })}`);
      await session.execute('DELETE FROM _millrace.staged WHERE load_id = $1 AND split = $2 AND epoch = $3', [
        part.loadId,
        part.split,
        part.epoch,
      ]);
    });
    passing('postgres.staged.dropped');
  }
}

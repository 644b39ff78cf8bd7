import { type Channel, type LoadSession, MillraceError, type Split, type StagedPart } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { buildBeside } from './build-beside.ts';
import { commitLoad, type Held, logRefill } from './commit-load.ts';
import type { Rejecting } from './copy-into.ts';
import { copyPart, expectEnd } from './copy-part.ts';
import { dependentsOf } from './dependents.ts';
import { passing } from './failpoints.ts';
import { type LoadWork, quotedTarget, shownName, stagingStatements } from './load-work.ts';
import { stagedRows } from './staged-rows.ts';
import { strayFinder } from './strays.ts';

/**
 * A load on one connection, in one transaction from its first row to its commit: an append goes straight into the table, a replace
 * into the table that will take its place, a merge into a temporary one. A crash leaves nothing to clean up.
 */
export async function directLoad(work: LoadWork, session: Session): Promise<LoadSession> {
  const { load, context, mode } = work;
  await session.execute('BEGIN ISOLATION LEVEL READ COMMITTED');
  const { into, held } = await destination(work, session);
  passing(`postgres.${mode}.begun`);
  const strays = held.at === 'staging' && load.reject ? await strayFinder(session, into, work.table, work.landing) : null;
  const staged = new Map<string, StagedPart>();
  let turn: Promise<unknown> = Promise.resolve();

  async function stage(split: Split, channel: Channel): Promise<StagedPart> {
    const before = staged.get(split.id);
    if (before) {
      if (channel.format !== 'batches') channel.stream.destroy();
      return before;
    }
    const rejecting: Rejecting | null = load.reject ? { split: split.id, reject: load.reject, ...(strays && { strays }) } : null;
    await session.execute('SAVEPOINT part');
    try {
      const { rows, bytes } = await copyPart(
        { session, table: into, object: shownName(work.table), progress: context.progress },
        channel,
        rejecting,
      );
      await session.execute('RELEASE SAVEPOINT part');
      const part = { split: split.id, rows, bytes, detail: {} };
      staged.set(split.id, part);
      passing(`postgres.${mode}.copied`);
      return part;
    } catch (error) {
      await session.execute('ROLLBACK TO SAVEPOINT part').catch(() => {});
      throw error;
    }
  }

  return {
    applied: null,
    stage(split, channel) {
      expectEnd(channel);
      const mine = turn.then(() => stage(split, channel));
      turn = mine.catch(() => {});
      return mine;
    },
    async commit(parts, checkpoint) {
      if (parts.length !== staged.size || parts.some(({ split }) => !staged.has(split))) throw otherParts(work);
      return commitLoad(work, session, held, [...staged.values()], checkpoint);
    },
    async abort() {
      await session.execute('ROLLBACK').catch(() => {});
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

async function destination(work: LoadWork, session: Session): Promise<{ into: string; held: Held }> {
  const { mode, landing, table } = work;
  if (mode === 'append' && landing.direct) return { into: quotedTarget(work), held: { at: 'target' } };
  if (mode === 'replace') {
    const { reasons } = await dependentsOf(session, table.oid);
    if (reasons.length > 0) {
      logRefill(work, reasons);
    } else if (landing.direct && !(work.load.reject && table.foreignKeys.length > 0)) {
      const beside = await buildBeside(session, table, work.load.id);
      return { into: beside.quoted, held: { at: 'beside', beside } };
    }
  }
  const name = '"__millrace_landing"';
  for (const statement of stagingStatements(work, name, 'TEMP')) await session.execute(statement);
  return { into: name, held: { at: 'staging', rows: stagedRows([name], landing, work.load.window?.column ?? null) } };
}

const otherParts = (work: LoadWork): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `The load of ${shownName(work.table)} was to commit parts that are not those of its session.`,
    remedy: 'Nothing to do: the load is done again.',
  });

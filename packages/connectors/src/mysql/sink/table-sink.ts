import { batchesOf, type Context, type LoadSession, MillraceError, type Receipt, type Sink, type StagedPart } from '@millrace/core/runtime';
import { checkOrder } from '../../postgres/sink/checkpoint.ts';
import { assertLoadable } from '../../postgres/sink/table-problems.ts';
import { databaseOf } from '../catalog.ts';
import { parseName, quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import { openSession, type Session } from '../session.ts';
import { findApplied, findCheckpoint } from './checkpoint.ts';
import { commitLoad } from './commit-load.ts';
import { attemptSession, closeAttempt, takeFence } from './fence.ts';
import { landingOf } from './landing.ts';
import { hasLedger } from './ledger.ts';
import { openLoadFiles } from './load-files.ts';
import type { LoadWork, TableSettings } from './load-work.ts';
import { checkedTables, dropLeftovers, dropParts, stagePart, wholeParts } from './parts.ts';
import { prepareTable } from './prepare-table.ts';
import { settle, swappedCheckpoint } from './swap.ts';

export async function openTableSink(settings: TableSettings, context: Context): Promise<Sink> {
  return {
    async checkpoint(owner) {
      await using reading = await openSession(settings.connection, context, { purpose: 'checkpoint' });
      if (!(await hasLedger(reading))) return null;
      return (await swappedCheckpoint(reading, owner)) ?? (await findCheckpoint(reading, owner))?.checkpoint ?? null;
    },

    async begin(load, fence): Promise<LoadSession> {
      assertLoadable(settings, load.schema);
      const session = await attemptSession(settings.connection, context, fence);
      try {
        await takeFence(session, fence);
        const { database, name } = parseName(settings.table.name);
        await settle(session, fence, quoteName({ database: databaseOf(session, database, name), name }), load.owner);
        const applied = await findApplied(session, load.id);
        if (applied) return appliedLoad(applied, session);
        const mode = settings.mode === 'append' && load.fullRefresh ? 'replace' : settings.mode;
        checkOrder(await findCheckpoint(session, load.owner), load, mode);
        const table = await prepareTable(session, settings);
        const required = table.columns
          .filter(({ notNull, generated, autoIncrement }) => notNull && !generated && !autoIncrement)
          .map((column) => column.name);
        const landing = landingOf(load.schema.columns, table, new Set([...required, ...(settings.table.key ?? [])]));
        const { staging } = settings;
        const files = staging ? await openLoadFiles(session, staging, context, load.owner, fence) : null;
        const work: LoadWork = { settings, context, load, fence, mode, table, landing, files };
        await dropLeftovers(work, session);
        return stagedLoad(work, session);
      } catch (error) {
        await closeAttempt(session);
        throw error;
      }
    },

    [Symbol.asyncDispose]: async () => {},
  };
}

/**
 * Splits are staged side by side, by this process or by several: each in a table of its own. One transaction or one swap then brings them
 * all into the target.
 */
function stagedLoad(work: LoadWork, session: Session): LoadSession {
  const { load, fence, settings, context } = work;
  const idle: Session[] = [];
  const busy = new Set<Session>();
  return {
    applied: null,
    shared: true,
    async stage(split, channel): Promise<StagedPart> {
      const own = idle.pop() ?? (await attemptSession(settings.connection, context, fence));
      busy.add(own);
      try {
        const part = await stagePart(work, own, split, batchesOf(channel));
        idle.push(own);
        return part;
      } catch (error) {
        await own.kill();
        throw error;
      } finally {
        busy.delete(own);
      }
    },
    recover: (parts) => wholeParts(work, session, parts),
    async commit(parts, checkpoint) {
      const tables = await checkedTables(work, session, parts);
      const rows = { tables, landing: work.landing, cursor: load.window?.column ?? null };
      const receipt = await commitLoad(work, session, rows, parts, checkpoint);
      await dropParts(session, `load_id = ${literal(load.id)}`).catch(() => {}); // else the next load does it
      return receipt;
    },
    async abort() {
      for (const one of busy) await one.kill();
      const own = `load_id = ${literal(load.id)} AND epoch = ${fence.epoch} AND fence_key = ${literal(fence.key)}`;
      await dropParts(session, own).catch(() => {});
    },
    async [Symbol.asyncDispose]() {
      for (const one of busy) await one.kill();
      for (const one of [...idle, session]) await closeAttempt(one);
      await work.files?.[Symbol.asyncDispose]();
    },
  };
}

/** An earlier attempt got as far as its commit: nothing is left to do. */
function appliedLoad(receipt: Receipt, session: Session): LoadSession {
  const over = (): never => {
    throw new MillraceError('INTERNAL', { message: 'A load that is applied takes no more rows.', remedy: 'Please report it.' });
  };
  return {
    applied: receipt,
    stage: async () => over(),
    commit: async () => receipt,
    abort: async () => {},
    [Symbol.asyncDispose]: () => closeAttempt(session),
  };
}

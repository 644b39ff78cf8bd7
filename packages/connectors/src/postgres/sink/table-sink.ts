import { type Context, type LoadSession, MillraceError, type Receipt, type Sink } from '@millrace/core/runtime';
import { openSession, type Session } from '../client.ts';
import { checkOrder, findApplied, findCheckpoint } from './checkpoint.ts';
import { directLoad } from './direct-load.ts';
import { takeFence } from './fence.ts';
import { landingOf } from './landing.ts';
import { ledgerVersion, openLedger } from './ledger.ts';
import { attemptSession, type LoadWork, type TableSettings } from './load-work.ts';
import { prepareTable } from './prepare-table.ts';
import { dropLeftovers, stagedLoad } from './staged-load.ts';
import { assertLoadable } from './table-problems.ts';

export async function openTableSink(settings: TableSettings, context: Context): Promise<Sink> {
  return {
    async checkpoint(owner) {
      await using reading = await openSession(settings.connection, context, { purpose: 'checkpoint' });
      if ((await ledgerVersion(reading)) === 0) return null;
      return (await findCheckpoint(reading, owner))?.checkpoint ?? null;
    },

    async begin(load, fence): Promise<LoadSession> {
      assertLoadable(settings, load.schema);
      const session = await attemptSession({ settings, context, fence });
      try {
        await openLedger(session);
        await takeFence(session, fence);
        const applied = await findApplied(session, load.id);
        if (applied) return appliedLoad(applied, session);
        const mode = settings.mode === 'append' && load.fullRefresh ? 'replace' : settings.mode;
        checkOrder(await findCheckpoint(session, load.owner), load, mode);
        const table = await prepareTable(session, settings);
        const landing = landingOf(load.schema.columns, table);
        const required = table.columns.filter(({ notNull, generated }) => notNull && !generated).map(({ name }) => name);
        const work: LoadWork = {
          settings,
          context,
          load,
          fence,
          mode,
          table,
          landing,
          notNull: new Set([...required, ...(settings.table.key ?? [])]),
        };
        await dropLeftovers(work, session);
        return load.parallel ? await stagedLoad(work, session) : await directLoad(work, session);
      } catch (error) {
        await session[Symbol.asyncDispose]();
        throw error;
      }
    },

    [Symbol.asyncDispose]: async () => {},
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
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

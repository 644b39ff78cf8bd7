import { type Context, type LoadSession, MillraceError, type Receipt, type Sink } from '@millrace/core/runtime';
import { checkOrder } from '../../postgres/sink/checkpoint.ts';
import { type Connected, connect } from '../connect.ts';
import { quoter, tableParts } from '../identifier.ts';
import type { FoundTable } from '../session.ts';
import { createTableSql } from './create-table.ts';
import { addOwner, findApplied, findCheckpoint, isThere, type Ledger, openLedger, takeFence } from './ledger.ts';
import { dropLeftovers, type LoadWork, stagedLoad } from './staged-load.ts';
import { problems } from './table-problems.ts';
import type { TableSettings } from './table-target.ts';
import { landingColumns } from './write-columns.ts';

export async function openTableSink(settings: TableSettings, context: Context): Promise<Sink> {
  return {
    async checkpoint(owner) {
      const connected = await connect(settings.connection, context);
      await using session = connected.session;
      const ledger: Ledger = { session, name: ledgerName(connected, settings, await session.table(tableParts(settings.table.name))) };
      return (await isThere(ledger, 'millrace_checkpoint')) ? ((await findCheckpoint(ledger, owner))?.checkpoint ?? null) : null;
    },

    async begin(load, fence): Promise<LoadSession> {
      const [problem] = problems(settings, load.schema);
      if (problem) throw new MillraceError('PIPELINE_INVALID', problem);
      const connected = await connect(settings.connection, context);
      const { session, dialect } = connected;
      try {
        const before = await session.table(tableParts(settings.table.name));
        const ledger: Ledger = { session, name: ledgerName(connected, settings, before) };
        await openLedger(ledger, dialect);
        await takeFence(ledger, fence, context.now());
        await addOwner(ledger, load.owner, context.now());
        const applied = await findApplied(ledger, load.id);
        if (applied) {
          // It may have been killed before it could.
          await dropLeftovers({ ledger, fence, context });
          return appliedLoad(applied, connected);
        }
        const mode = settings.mode === 'append' && load.fullRefresh ? 'replace' : settings.mode;
        checkOrder(await findCheckpoint(ledger, load.owner), load, mode);
        const table = before ?? (await created(connected, settings));
        const work: LoadWork = {
          settings,
          context,
          load,
          fence,
          mode,
          connected,
          ledger,
          table,
          landing: landingColumns(load.schema.columns, settings.table, table, dialect.product),
        };
        return await stagedLoad(work);
      } catch (error) {
        await session[Symbol.asyncDispose]();
        throw error;
      }
    },

    [Symbol.asyncDispose]: async () => {},
  };
}

/** Our tables stand where the target does. */
function ledgerName({ session }: Connected, { table }: TableSettings, found: FoundTable | null): (name: string) => string {
  const quote = quoter(session);
  const parts = tableParts(table.name);
  const above = found ? (session.product.schemaIsCatalog ? found.catalog : found.schema) : parts.length > 1 ? (parts.at(-2) ?? null) : null;
  return (name) => (above ? `${quote(above)}.${name}` : name);
}

async function created(connected: Connected, { table, schema }: TableSettings): Promise<FoundTable> {
  const { session, dialect } = connected;
  const parts = tableParts(table.name);
  if (schema === 'create') {
    await session.query(createTableSql(table, session, dialect), [], table.name).catch(async (error: unknown) => {
      // Another load has made it at this moment.
      if (!(await session.table(parts))) throw error;
    });
    const made = await session.table(parts);
    if (made) return made;
  }
  throw new MillraceError('TABLE_MISSING', {
    message: `There is no table ${table.name} to load into that "${session.product.user}" may see.`,
    remedy: "Create it, or load with schema: 'create' to have it made from the table() declaration.",
    facts: { table: table.name },
  });
}

/** An earlier attempt got as far as its commit: nothing is left to do. */
function appliedLoad(receipt: Receipt, { session }: Connected): LoadSession {
  return {
    applied: receipt,
    stage: async () => {
      throw new MillraceError('INTERNAL', { message: 'A load that is applied takes no more rows.', remedy: 'Please report it.' });
    },
    commit: async () => receipt,
    abort: async () => {},
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

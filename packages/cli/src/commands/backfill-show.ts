import { postgresScheduleStore } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { Session } from '../session.ts';
import { counted, moment } from '../text/amount.ts';
import { alignedTable } from '../text/table.ts';
import { backfillTable } from './backfill-list.ts';
import { chosenBackfill } from './chosen-backfill.ts';

/** A backfill: what is under way or has gone wrong; with `all` every item. */
export async function backfillShow(session: Session, wanted: string | undefined, options: { readonly all?: true }): Promise<ExitCode> {
  const { terminal } = session;
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const backfill = await chosenBackfill(store, wanted);
  const items = await store.backfillItems(backfill.id);
  const shown = options.all ? items : items.filter(({ state }) => state === 'running' || state === 'launching' || state === 'failed');
  terminal.print(backfillTable([backfill], terminal.out.dim).join('\n'));
  if (shown.length > 0) {
    const rows = shown.map(({ logicalTime, state, run, attempt, because }) => [
      moment(logicalTime),
      state,
      String(attempt),
      run ?? '',
      because ?? '',
    ]);
    terminal.print('');
    terminal.print(
      alignedTable(
        [{ title: 'for (UTC)' }, { title: 'state' }, { title: 'attempt' }, { title: 'run' }, { title: '' }],
        rows,
        terminal.out.dim,
      ).join('\n'),
    );
  }
  if (shown.length < items.length) terminal.say(`${counted(items.length - shown.length, 'other item')}: --all shows them.`);
  terminal.emit({ backfill, items });
  return exitCodes.ok;
}

import type { StoredBackfill } from '@millrace/core/runtime';
import { postgresScheduleStore } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { Session } from '../session.ts';
import { moment } from '../text/amount.ts';
import { alignedTable } from '../text/table.ts';

export async function backfillList(session: Session, options: { readonly pipeline?: string; readonly limit: number }): Promise<ExitCode> {
  const { terminal } = session;
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const backfills = await store.backfills({
    limit: options.limit,
    ...(options.pipeline !== undefined && { pipelines: [options.pipeline] }),
  });
  if (backfills.length === 0) terminal.say('No backfills.');
  else terminal.print(backfillTable(backfills, terminal.out.dim).join('\n'));
  terminal.emit({ backfills });
  return exitCodes.ok;
}

export function backfillTable(backfills: readonly StoredBackfill[], head: (text: string) => string): string[] {
  const right = (title: string) => ({ title, align: 'right' as const });
  return alignedTable(
    [
      { title: 'backfill' },
      { title: 'pipeline' },
      { title: 'state' },
      { title: 'from (UTC)' },
      { title: 'to' },
      { title: 'by' },
      right('done'),
      right('failed'),
      right('running'),
      right('left'),
    ],
    backfills.map(({ id, pipeline, state, range, counts }) => [
      id,
      pipeline,
      state,
      moment(range.start),
      moment(range.end),
      range.by,
      String(counts.succeeded),
      String(counts.failed),
      String(counts.running + counts.launching),
      String(counts.pending + counts.cancelled),
    ]),
    head,
  );
}

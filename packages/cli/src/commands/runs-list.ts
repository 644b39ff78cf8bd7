import type { RunState, RunSummary } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { RunsOptions } from '../program.ts';
import type { Session } from '../session.ts';
import { count, moment } from '../text/amount.ts';
import { alignedTable } from '../text/table.ts';

export async function runsList(
  session: Session,
  options: RunsOptions & { readonly pipeline?: string; readonly state?: string; readonly limit: number },
): Promise<ExitCode> {
  const { terminal } = session;
  const executor = await session.executor({ kind: options.executor });
  const runs = await executor.list({
    limit: options.limit,
    ...(options.pipeline === undefined ? {} : { pipeline: options.pipeline }),
    ...(options.state === undefined ? {} : { states: [options.state as RunState['at']] }),
  });
  if (runs.length === 0) terminal.say('No runs.');
  else {
    terminal.print(
      alignedTable(
        [
          { title: 'run' },
          { title: 'pipeline' },
          { title: 'state' },
          { title: 'made (UTC)' },
          { title: 'for' },
          { title: 'stages', align: 'right' },
          { title: 'rows', align: 'right' },
        ],
        runs.map((run) => [
          run.id,
          run.pipeline,
          stateText(run),
          moment(run.createdAt),
          run.logicalTime.slice(0, 10),
          stagesText(run),
          count(run.rows),
        ]),
        terminal.out.dim,
      ).join('\n'),
    );
  }
  terminal.emit({ runs });
  return exitCodes.ok;
}

function stateText({ state, abandoned, cancelRequestedAt }: RunSummary): string {
  if (abandoned) return `${state.at}, left unfinished`;
  return state.at === 'running' && cancelRequestedAt !== null ? 'stopping' : state.at;
}

function stagesText({ stages }: RunSummary): string {
  const all = Object.values(stages).reduce((sum, number) => sum + number, 0);
  return `${stages.succeeded}/${all}`;
}

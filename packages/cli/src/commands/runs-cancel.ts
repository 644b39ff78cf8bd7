import { isEnded } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { RunsOptions } from '../program.ts';
import type { Session } from '../session.ts';
import { chosenRun } from './latest-run.ts';

export async function runsCancel(session: Session, wanted: string, { executor: kind }: RunsOptions = {}): Promise<ExitCode> {
  const { terminal } = session;
  const executor = await session.executor({ kind });
  const run = await executor.cancel(await chosenRun(executor, wanted));
  terminal.print(isEnded(run.state) ? `${run.id}: ${run.state.at}` : `${run.id}: asked to stop`);
  terminal.emit({ run: run.id, state: run.state, cancelRequestedAt: run.cancelRequestedAt });
  return exitCodes.ok;
}

import type { ExitCode } from '../exit-code.ts';
import type { RunsOptions } from '../program.ts';
import type { Session } from '../session.ts';
import { chosenRun } from './latest-run.ts';
import { watchToEnd } from './run.ts';

export async function runsRetry(
  session: Session,
  wanted: string,
  { executor: kind, ...options }: RunsOptions & { readonly from?: string },
): Promise<ExitCode> {
  const executor = await session.executor({ kind });
  const run = await executor.retry(await chosenRun(executor, wanted), options);
  session.terminal.say(`Going on with run ${run.id} of ${run.request.pipeline}.`);
  return watchToEnd(session, executor, run, { continued: true, resume: `millrace runs retry ${run.id}` });
}

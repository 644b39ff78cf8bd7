import { isEnded } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { RunsOptions } from '../program.ts';
import { follow } from '../progress/follow.ts';
import { runOutcome, showOutcome } from '../run-outcome.ts';
import type { Session } from '../session.ts';
import { chosenRun } from './latest-run.ts';

/** Looking on has no influence on the run: Ctrl-C ends the looking. */
export async function runsWatch(session: Session, wanted: string | undefined, { executor: kind }: RunsOptions = {}): Promise<ExitCode> {
  const executor = await session.executor({ kind });
  const id = await chosenRun(executor, wanted);
  const { run } = await executor.show(id);
  session.terminal.emit({ type: 'run', run: run.id, pipeline: run.request.pipeline, plan: run.plan.fingerprint, state: run.state });
  if (!isEnded(run.state)) await follow(session.terminal, executor, run, session.signal);
  if (session.signal.aborted) return session.signal.reason === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
  const detail = await executor.show(id);
  showOutcome(session.terminal, detail);
  return runOutcome(detail.run);
}

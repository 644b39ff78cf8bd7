import type { LogLine } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { RunsOptions } from '../program.ts';
import type { Session } from '../session.ts';
import type { Colours } from '../terminal.ts';
import { toJson } from '../terminal.ts';
import { chosenRun } from './latest-run.ts';

export async function runsLogs(
  session: Session,
  wanted: string | undefined,
  options: RunsOptions & { readonly stage?: string; readonly follow?: true },
): Promise<ExitCode> {
  const { terminal } = session;
  const executor = await session.executor({ kind: options.executor });
  const run = await chosenRun(executor, wanted);
  const lines = executor.logs(run, {
    signal: session.signal,
    ...(options.stage === undefined ? {} : { stage: options.stage }),
    ...(options.follow ? { follow: true } : {}),
  });
  for await (const line of lines) {
    terminal.print(lineText(line, terminal.out));
    terminal.emit({ ...line });
  }
  return exitCodes.ok;
}

function lineText({ at, stage, level, message, facts }: LogLine, out: Colours): string {
  const mark =
    level === 'warn' ? out.yellow('warn') : level === 'stderr' ? out.red('err ') : level === 'stdout' ? out.dim('out ') : out.dim('info');
  const rest = Object.keys(facts).length > 0 ? ` ${out.dim(toJson(facts))}` : '';
  return `${out.dim(at.slice(11, 23))} ${mark} ${stage}  ${message}${rest}`;
}

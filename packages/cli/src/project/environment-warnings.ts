import { missingPools, type Plan, type Problem } from '@millrace/core/runtime';
import type { Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

/** What the plan alone cannot know: whether the environment has what it names. */
export async function environmentWarnings(session: Session, plan: Plan): Promise<Problem[]> {
  return missingPools(plan, (await session.project()).environment.pools ?? {});
}

export function warn(terminal: Terminal, warnings: readonly Problem[]): void {
  for (const { message, remedy } of warnings) terminal.say(`${terminal.err.yellow('warning')} ${message} ${terminal.err.dim(remedy)}`);
}

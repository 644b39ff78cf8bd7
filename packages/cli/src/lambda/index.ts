import { causeOf, endOfError, errorName, requestFromJson, type TaskEnd } from '@millrace/step-functions';
import { taskEnd } from '../run-step/task-end.ts';
import { openWorkplace } from '../run-step/workplace.ts';
import { Session } from '../session.ts';
import { openTerminal } from '../terminal.ts';

/** Milliseconds that a stage has to stop in when the function's time is nearly over. */
const graceMs = 10_000;
/** And to say so. */
const reserveMs = graceMs + 5_000;

/**
 * A Lambda function that runs stages: `work: { lambda: arn }`. Its handler is `@millrace/cli/lambda`'s `handler`, its directory the project,
 * whose `.millrace` is a link to a folder in /tmp. The event is what a state hands over; the answer is `{}`, and errors are named by their codes.
 * A stage is stopped 15 seconds before the function's time is over, and given back.
 */
export async function handler(event: unknown, context: { getRemainingTimeInMillis(): number }): Promise<Record<string, never>> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort('SIGTERM'), Math.max(0, context.getRemainingTimeInMillis() - reserveMs));
  const session = new Session(openTerminal(false), stop.signal);
  try {
    const end = await perform(session, event, stop.signal).catch(endOfError);
    if (end.at === 'done') return {};
    const error = new Error(await session.redact(causeOf(end.error, (text) => text)));
    error.name = errorName(end.error.code, end.retry);
    throw error;
  } finally {
    clearTimeout(timer);
    await session[Symbol.asyncDispose]();
  }
}

async function perform(session: Session, event: unknown, signal: AbortSignal): Promise<TaskEnd> {
  const request = requestFromJson(event);
  return taskEnd(await (await openWorkplace(session, { graceMs })).run(request, signal));
}

import type { HistoryEvent } from '@aws-sdk/client-sfn';
import type { StoredError } from '@millrace/core/runtime';

/** An error of the language: its name, and what it says. */
export interface Failure {
  readonly name: string;
  readonly cause: string | null;
}

/** Of an event that says that work has failed, of whatever kind it was. */
export function failureOf(event: HistoryEvent): Failure | null {
  const details =
    event.taskFailedEventDetails ??
    event.taskTimedOutEventDetails ??
    event.taskStartFailedEventDetails ??
    event.taskSubmitFailedEventDetails ??
    event.activityFailedEventDetails ??
    event.activityTimedOutEventDetails ??
    event.activityScheduleFailedEventDetails;
  return details ? { name: details.error ?? 'States.TaskFailed', cause: details.cause ?? null } : null;
}

/** `passes`: Step Functions itself tries again. The error's code is the one that such an end has on other executors. */
export function storedFailure({ name, cause }: Failure, passes: boolean, link: string): StoredError {
  return {
    code: codeOf(name, passes),
    message: `Step Functions: ${name}${cause === null ? '.' : `: ${readable(cause)}`}`,
    remedy: passes ? 'Tried again with backoff.' : `See ${link}; correct what the message names, then "millrace runs retry".`,
    facts: { error: name },
  };
}

function codeOf(name: string, passes: boolean): StoredError['code'] {
  if (!passes) return 'REMOTE_FAILED';
  if (name === 'States.Timeout') return 'STAGE_TIMEOUT';
  return /Throttl|TooMany|LimitExceeded|ConcurrentRuns/.test(name) ? 'REMOTE_THROTTLED' : 'REMOTE_UNAVAILABLE';
}

/** The most of a cause that is shown. */
const longest = 500;

/** A cause is often what the service says of the work, as JSON, of which a person needs a sentence. */
function readable(cause: string): string {
  try {
    const said = JSON.parse(cause) as Said;
    const [container] = said.Containers ?? [];
    const parts = [
      said.StoppedReason,
      container?.Reason,
      container?.ExitCode === undefined ? undefined : `Its task ended with exit code ${container.ExitCode}.`,
      said.ErrorMessage ?? said.errorMessage ?? said.Cause,
    ].filter((part) => part !== undefined && part !== '');
    if (parts.length > 0) return parts.join(' ').slice(0, longest);
  } catch {
    // It is a sentence already.
  }
  return cause.slice(0, longest);
}

/** What ECS, Glue, Lambda and another machine say. */
interface Said {
  readonly StoppedReason?: string;
  readonly Containers?: readonly { readonly ExitCode?: number; readonly Reason?: string }[];
  readonly ErrorMessage?: string;
  readonly errorMessage?: string;
  readonly Cause?: string;
}

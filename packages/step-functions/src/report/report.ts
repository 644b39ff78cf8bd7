import { codes, type StoredError, storeError } from '@millrace/core/runtime';
import { errorName } from '../work/retry.ts';
import type { TaskService } from './service.ts';

/** How a task of ours has ended. `retry`: the stage may be tried once more. */
export type TaskEnd = { readonly at: 'done' } | { readonly at: 'failed'; readonly error: StoredError; readonly retry: boolean };

export interface ReportOptions {
  readonly service: TaskService;
  readonly token: string;
  /** Takes secrets out of what is told. */
  readonly redact: (text: string) => string;
  /** Between two signs of life, in milliseconds; a minute by default. A state waits five for one. */
  readonly everyMs?: number;
}

/** Characters that Step Functions takes of a cause. */
const longestCause = 32_768;

/**
 * Does a task's work and reports it, with a sign of life every minute. Where nobody waits for it any more `work` is aborted, and the answer is
 * null. Whatever `work` throws is reported as well.
 */
export async function reported(work: (signal: AbortSignal) => Promise<TaskEnd>, options: ReportOptions): Promise<TaskEnd | null> {
  const { service, token, redact, everyMs = 60_000 } = options;
  const unwanted = new AbortController();
  const beat = (): void =>
    // One that does not get through is followed by another; the work goes on meanwhile.
    void service.heartbeat(token).then(
      (wanted) => wanted || unwanted.abort(),
      () => {},
    );
  beat();
  const timer = setInterval(beat, everyMs);
  try {
    const end = await work(unwanted.signal).catch(endOfError);
    if (unwanted.signal.aborted) return null;
    const heard =
      end.at === 'done'
        ? await service.succeed(token)
        : await service.fail(token, errorName(end.error.code, end.retry), causeOf(end.error, redact));
    return heard ? end : null;
  } finally {
    clearInterval(timer);
  }
}

/** Of work that could not even begin, or has lost its footing. */
export function endOfError(thrown: unknown): TaskEnd {
  const error = storeError(thrown);
  return { at: 'failed', error, retry: codes[error.code].retry !== 'never' };
}

/** For people, who see it in the execution. */
export const causeOf = ({ message, remedy }: StoredError, redact: (text: string) => string): string =>
  redact(`${message}\n${remedy}`).slice(0, longestCause);

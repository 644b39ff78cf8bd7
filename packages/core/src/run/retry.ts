import { codes, type ErrorCode, type StoredError } from '../error/index.ts';
import type { PlanStage } from '../plan/index.ts';

export type Verdict = { readonly kind: 'retry'; readonly delayMs: number } | { readonly kind: 'give-up' } | { readonly kind: 'lost' };

/**
 * What follows from a failed attempt: the one reader of the codes' retry kind. `attempt` counts from 1. The pause is random
 * between nothing and a bound that doubles ("full jitter"), so that stages that failed together do not come back together.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function judge(error: StoredError, attempt: number, policy: PlanStage['retry'], random: number): Verdict {
  const { retry } = codes[error.code];
  switch (retry) {
    case 'never':
      return { kind: 'give-up' };
    case 'lost':
      return { kind: 'lost' };
    case 'backoff': {
      if (attempt >= policy.attempts) return { kind: 'give-up' };
      const bound = Math.min(policy.maxDelayMs, policy.delayMs * 2 ** (attempt - 1));
      return { kind: 'retry', delayMs: Math.round(bound * random) };
    }
    default:
      return retry satisfies never;
  }
}

/** The same may work later. */
export const mayPass = ({ code }: Pick<StoredError, 'code'>): boolean => codes[code].retry === 'backoff';

/** Says of work at a service that it goes on no more, or that the service knows nothing that could. */
export const endsWork = ({ code }: Pick<StoredError, 'code'>): boolean =>
  code === 'REMOTE_FAILED' || code === 'REMOTE_INTERRUPTED' || code === 'REMOTE_REFUSED';

/** Says that a start was refused before it began anything. Of an earlier start, whose answer was lost, it says nothing. */
export const refusesStart = ({ code }: Pick<StoredError, 'code'>): boolean => refusals.has(code);

const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ACCESS_DENIED',
  'AUTHENTICATION_FAILED',
  'CONFIG_INVALID',
  'PIPELINE_INVALID',
  'PIPELINE_NOT_FOUND',
  'PLAN_CHANGED',
  'REMOTE_REFUSED',
  'SECRET_MISSING',
  'STATEMENT_FAILED',
]);

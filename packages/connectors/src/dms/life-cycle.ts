import { MillraceError } from '@millrace/core/runtime';
import { stopMeaning } from './stop-reason.ts';

/** A task, or a serverless replication, as DMS describes it. */
export interface DmsStatus {
  /** `creating`, `ready`, `starting`, `running`, `stopping`, `stopped`, `failed`, `modifying`, …: small letters and underscores. */
  readonly status: string;
  /** `FULL_LOAD_ONLY_FINISHED`, without its "Stop Reason". */
  readonly stopReason: string | null;
  readonly failure: string | null;
  /** When it last began from the beginning, ISO 8601; null where it never did. */
  readonly freshStart: string | null;
  /** `full-load`, `cdc`, `full-load-and-cdc`. */
  readonly kind: string;
  readonly mappings: string | null;
  readonly settings: string | null;
  readonly sourceEndpoint: string | null;
  readonly targetEndpoint: string | null;
}

export type Begin =
  | { readonly do: 'start' | 'reload' | 'stop' }
  | { readonly do: 'wait'; readonly status: string }
  /** Somebody has started it, and nobody has followed that yet. */
  | { readonly do: 'adopt'; readonly startedAt: string };

/**
 * How to come to a full load that nobody follows yet. Pure. `start-replication` is allowed once; later a full load is `reload-target`, of a
 * task that stands still.
 *
 * @throws REMOTE_REFUSED for what can never be started
 */
export function howToBegin({ status, freshStart }: DmsStatus, followed: string | null): Begin {
  const isNew = freshStart !== null && (followed === null || Date.parse(freshStart) > Date.parse(followed));
  switch (phaseOf(status)) {
    case 'moves':
      return { do: 'wait', status };
    case 'runs':
      return isNew ? { do: 'adopt', startedAt: freshStart } : { do: 'stop' };
    case 'still':
      return { do: freshStart === null ? 'start' : 'reload' };
    case 'gone':
      throw unusable(status);
  }
}

export type GoOn = { readonly do: 'nothing' | 'resume' } | { readonly do: 'wait'; readonly status: string };

/**
 * What a stream that is followed needs. Pure. A task that stands still is resumed where it stopped; one that failed is not, since a person has
 * to look, except where DMS says that the reason passes. Where somebody has had it load the tables again, that comes in the stream.
 *
 * @throws REMOTE_FAILED with what DMS says, RESYNC_REQUIRED where the task was made anew
 */
export function howToGoOn(state: DmsStatus, label: string): GoOn {
  const { status, stopReason, freshStart } = state;
  if (freshStart === null)
    throw new MillraceError('RESYNC_REQUIRED', {
      message: `${label} has never run: it was made anew.`,
      remedy: 'Run "millrace resync" to load the tables again.',
    });
  switch (phaseOf(status)) {
    case 'moves':
      return { do: 'wait', status };
    case 'runs':
      return { do: 'nothing' };
    case 'still':
      checkAlive(state, label);
      return { do: state.kind === 'full-load' || stopReason === 'FULL_LOAD_ONLY_FINISHED' ? 'nothing' : 'resume' };
    case 'gone':
      throw unusable(status);
  }
}

/** While a stream is read: whether the task has come to a bad end. @throws REMOTE_FAILED, REMOTE_INTERRUPTED */
export function checkAlive(state: DmsStatus, label: string): void {
  if (state.status === 'failed' || brokenStop(state)) throw failed(state, label);
}

function brokenStop({ status, stopReason }: DmsStatus): boolean {
  return phaseOf(status) === 'still' && stopReason !== null && stopMeaning(stopReason).kind === 'broken';
}

function failed({ stopReason, failure }: DmsStatus, label: string): MillraceError {
  const meaning = stopReason === null ? null : stopMeaning(stopReason);
  const broken = meaning?.kind === 'broken' ? meaning : null;
  const why = [broken?.why, failure].filter(Boolean).join(' ') || 'DMS says no more than that it failed.';
  return new MillraceError(broken?.again ? 'REMOTE_INTERRUPTED' : 'REMOTE_FAILED', {
    message: `${label} has failed: ${why.slice(0, 400)}`,
    remedy:
      'Look at the log of the task in CloudWatch. When the reason is mended, resume the task there, or run "millrace resync" to load the tables again.',
    facts: { stopReason },
  });
}

function phaseOf(status: string): 'runs' | 'still' | 'moves' | 'gone' {
  if (['running', 'starting'].includes(status)) return 'runs';
  if (['ready', 'created', 'stopped', 'failed'].includes(status)) return 'still';
  if (['deleting', 'failed_move'].includes(status)) return 'gone';
  return 'moves';
}

const unusable = (status: string): MillraceError =>
  new MillraceError('REMOTE_REFUSED', {
    message: `The DMS task is ${status} and cannot be started.`,
    remedy: 'Make it anew, or name another one in dms().',
  });

import { MillraceError, type RemoteState } from '@millrace/core/runtime';
import type { Replicating } from './client.ts';
import { stopMeaning } from './stop-reason.ts';

export type StartType = 'start-replication' | 'resume-processing' | 'reload-target';

/** What counts as the end of the step. `loaded`: the full load is done, and the replication goes on. */
export type Until = 'stopped' | 'loaded';

export interface LifeOptions {
  readonly until: Until;
  /** Loads everything anew, also where it could go on. */
  readonly reload: boolean;
}

/**
 * How a replication is started in the state it is in. `start-replication` is valid once in its life; after that a full load is done anew, and
 * a stream goes on where it was, unless its full load did not come to an end.
 *
 * @throws REMOTE_UNAVAILABLE where it cannot be started now, REMOTE_REFUSED where it never can
 */
export function startOf(replication: Replicating | null, { reload }: LifeOptions, name: string): StartType {
  if (replication === null) return 'start-replication';
  const { status, type, startedAt, fullLoad } = replication;
  if (['deleting', 'failed_move'].includes(status)) {
    throw new MillraceError('REMOTE_REFUSED', {
      message: `DMS, starting ${name}: it is ${status}.`,
      remedy: 'Make a new task, or name another one.',
      facts: { status },
    });
  }
  if (!startable.has(status)) {
    throw new MillraceError('REMOTE_UNAVAILABLE', {
      message: `DMS, starting ${name}: it is ${status}, and only one that has stopped can be started.`,
      remedy: 'Tried again with backoff. Stop it, if it should not be running.',
      facts: { status },
    });
  }
  if (startedAt === null && status !== 'stopped') return 'start-replication';
  if (type === 'cdc') return 'resume-processing';
  return reload || type === 'full-load' || (fullLoad ?? 0) < 1 ? 'reload-target' : 'resume-processing';
}

/** `created` and `ready` are what has never run; a replication that failed before it ran has failed all the same. */
const startable = new Set(['created', 'ready', 'stopped', 'failed']);

/** How it was before a start: DMS tells that for a while after it. */
export const before = ({ status, startedAt, stoppedAt }: Pick<Replicating, 'status' | 'startedAt' | 'stoppedAt'>): string =>
  [status, startedAt ?? '-', stoppedAt ?? '-'].join(' ');

/** `tables` in error are a failure, also where DMS says that all went well: it goes on with the others. */
export function stateOf(replication: Replicating, { until }: Pick<LifeOptions, 'until'>): RemoteState {
  const { status, type, stopReason, failure, fullLoad, tables } = replication;
  const loaded = type !== 'cdc' && tables.loading + tables.queued === 0 && (fullLoad === 1 || tables.errored > 0);
  const running: RemoteState = { at: 'running', status, progress: fullLoad };
  switch (status) {
    case 'running':
      return until === 'loaded' && (loaded || type === 'cdc') ? ended(replication) : running;
    case 'failed':
      return { at: 'failed', reason: failure ?? 'DMS says no more than that it failed.', again: false };
    case 'deleting':
      return { at: 'failed', reason: 'It is being deleted.', again: false };
    case 'stopped': {
      const meaning = stopMeaning(stopReason ?? 'NORMAL');
      switch (meaning.kind) {
        case 'passing':
          return running;
        case 'broken':
          return { at: 'failed', reason: [meaning.why, failure].filter(Boolean).join(' '), again: meaning.again };
        case 'done':
        case 'normal':
          if (type === 'cdc' || loaded) return ended(replication);
          return {
            at: 'failed',
            reason: `It was stopped when ${Math.round((fullLoad ?? 0) * 100)} % of the full load were done.`,
            again: true,
          };
        default:
          return meaning satisfies never;
      }
    }
    default:
      return running;
  }
}

function ended({ tables, stopReason, checkpoint }: Replicating): RemoteState {
  if (tables.errored > 0)
    return { at: 'failed', reason: `${tables.errored} table(s) ended in error; the others were loaded.`, again: false };
  return {
    at: 'succeeded',
    output: { tables: tables.loaded, ...(stopReason !== null && { stopReason }), ...(checkpoint !== null && { checkpoint }) },
  };
}

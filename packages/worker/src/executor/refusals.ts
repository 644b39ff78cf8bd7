import { MillraceError, type RunId, type RunRecord } from '@millrace/core/runtime';

/** Why a run cannot begin, or go on, here and now. */

export function planChanged(run: RunRecord): MillraceError {
  return new MillraceError('PLAN_CHANGED', {
    message: `Run ${run.id} of "${run.request.pipeline}" is unfinished, and the pipeline file is another version than the one it was made from.`,
    remedy: `Check out that version to go on with it, or give it up: millrace runs cancel ${run.id}`,
    facts: { run: run.id, fingerprint: run.plan.fingerprint },
  });
}

/** A stream never ends, so that one without a place would wait for ever. */
export function noRoom(pipeline: string, streams: number, places: number): MillraceError {
  return new MillraceError('CONFIG_INVALID', {
    message: `"${pipeline}" follows ${streams} streams, and the environment runs ${places} stages at a time.`,
    remedy: `Set concurrency to ${streams} or more in millrace.config.ts, or make several pipelines of it.`,
    facts: { pipeline, streams, places },
  });
}

export function streamHeld(pipeline: string, run: RunId): MillraceError {
  return new MillraceError('RUN_HELD', {
    message: `"${pipeline}" runs already: run ${run} follows its changes.`,
    remedy: `Look at it with "millrace status ${pipeline}", or end it with "millrace runs cancel ${run}".`,
    facts: { pipeline, run },
  });
}

export function held(run: RunRecord): MillraceError {
  return new MillraceError('RUN_HELD', {
    message: `Another process works on run ${run.id}.`,
    remedy: `Watch it: millrace runs watch ${run.id}`,
    facts: { run: run.id },
  });
}

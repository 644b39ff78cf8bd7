import type { Context, Log } from '@millrace/core/runtime';
import type { Secrets } from './secrets.ts';

export interface OutsideContextOptions {
  readonly secrets: Secrets;
  readonly signal: AbortSignal;
  /** An existing directory for temporary files; the caller removes it. */
  readonly spool: string;
  readonly log?: Log;
  readonly progress?: Context['progress'];
  readonly memoryBudget?: number;
}

/** What connectors get outside any run: for `doctor`, `introspect` and `verify`. */
export function outsideContext({
  secrets,
  signal,
  spool,
  log = silent,
  progress = () => {},
  memoryBudget = 64 * 1024 * 1024,
}: OutsideContextOptions): Context {
  const now = new Date();
  return {
    run: { id: 'none', pipeline: 'none', logicalTime: now.toISOString(), date: now.toISOString().slice(0, 10), window: null, params: {} },
    signal,
    secret: (ref, refused) => secrets.get(ref, refused),
    now: () => new Date(),
    log,
    spool,
    progress,
    memoryBudget,
  };
}

const silent: Log = { info: () => {}, warn: () => {} };

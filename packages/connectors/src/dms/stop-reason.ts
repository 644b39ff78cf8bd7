/**
 * What a stop of DMS means.
 * `done`: it has reached the end that it was given.
 * `normal`: "completed with no additional information": its end, or somebody's stop; how far it got decides.
 * `passing`: DMS stops and starts it again by itself.
 * `broken`: it ended before its end; `again` says whether another start may go better.
 */
export type StopMeaning =
  | { readonly kind: 'done' }
  | { readonly kind: 'normal' }
  | { readonly kind: 'passing' }
  | { readonly kind: 'broken'; readonly why: string; readonly again: boolean };

/** `reason` with or without DMS's "Stop Reason" before it. One that is new to us is broken, and asks a person. */
export function stopMeaning(reason: string): StopMeaning {
  const word = reason.replace(/^Stop Reason\s+/i, '').trim();
  return meanings[word] ?? { kind: 'broken', why: `It stopped for a reason that is not known here: ${word}.`, again: false };
}

const done = { kind: 'done' } as const;
const passing = { kind: 'passing' } as const;
const broken = (why: string, again: boolean): StopMeaning => ({ kind: 'broken', why, again });

const meanings: Readonly<Record<string, StopMeaning>> = {
  NORMAL: { kind: 'normal' },
  FULL_LOAD_ONLY_FINISHED: done,
  STOPPED_AFTER_FULL_LOAD: done,
  STOPPED_AFTER_CACHED_EVENTS: done,
  STOPPED_AFTER_DDL_APPLY: done,
  STOPPED_AT_SERVER_TIME: done,
  STOPPED_AT_COMMIT_TIME: done,
  RECONFIGURATION_RESTART: passing,
  RECYCLE_TASK: passing,
  RECOVERABLE_ERROR: broken('It ended with an error that may pass.', true),
  FATAL_ERROR: broken('It ended with an error that does not pass by itself.', false),
  STOPPED_DUE_TO_LOW_MEMORY: broken('The replication instance had too little memory.', true),
  STOPPED_DUE_TO_LOW_DISK: broken('The replication instance had no disk left.', false),
  EXPRESS_LICENSE_LIMITS_REACHED: broken('A limit of its licence is reached.', false),
};

const of = (...kinds: readonly StopMeaning['kind'][]): string[] =>
  Object.entries(meanings).flatMap(([word, { kind }]) => (kinds.includes(kind) ? [word] : []));

/** For those who go by words alone: where it may have come to its end, and after which it goes on by itself. */
export const stops = { good: of('normal', 'done'), passing: of('passing') } as const;

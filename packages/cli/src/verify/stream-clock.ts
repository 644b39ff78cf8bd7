import { setTimeout as sleep } from 'node:timers/promises';
import { type CaptureSource, type Context, MillraceError, type StreamName } from '@millrace/core/runtime';

/** Where the sink of a step is now, by its last report; null where nobody follows the stream. */
export type SinkPosition = (step: string) => Promise<string | null>;

/** Waits until a target has everything that is at the source at this moment. */
export interface StreamClock extends AsyncDisposable {
  /** False as soon as nobody follows the stream: then there is nothing to wait for. */
  readonly followed: boolean;
  /** @throws CHANGE_REFUSED where the target does not move; the signal's reason */
  catchUp(step: string): Promise<void>;
}

/** Milliseconds between two looks at a sink, and without any movement of it after which nobody waits any longer. */
const lookMs = 250;
const patienceMs = 120_000;
/** A quiet stream comes to where the log is by what we write into it: so many looks apart, for sinks note quiet progress once a second. */
const nudgeEvery = 5;

export async function streamClock(
  source: CaptureSource,
  stream: StreamName,
  sink: SinkPosition,
  followed: boolean,
  context: Context,
): Promise<StreamClock> {
  const opened = followed ? await source.open(context, stream) : null;
  let lost = !followed;
  return {
    get followed() {
      return !lost;
    },
    async catchUp(step) {
      const position = lost ? null : ((await opened?.stream())?.end ?? null);
      if (position === null) return;
      let last: string | null = null;
      let movedAt = performance.now();
      for (let looks = 0; ; looks++) {
        const at = await sink(step);
        if (at === null) lost = true;
        if (at === null || at >= position) return;
        if (at !== last) movedAt = performance.now();
        last = at;
        if (performance.now() - movedAt > patienceMs) throw stuck(step, at, position);
        if (looks % nudgeEvery === 0) await opened?.nudge();
        await sleep(lookMs, undefined, { signal: context.signal });
      }
    },
    async [Symbol.asyncDispose]() {
      await opened?.[Symbol.asyncDispose]();
    },
  };
}

const stuck = (step: string, at: string, position: string): MillraceError =>
  new MillraceError('CHANGE_REFUSED', {
    message: `"${step}" has stood at ${at} for two minutes, and the source was at ${position}: it cannot be compared.`,
    remedy: 'Look with "millrace status" why the stream does not go on.',
    facts: { step, at, position },
  });

import type { RunId } from './run-state.ts';

/** Without those that look alike. */
const letters = 'abcdefghjkmnpqrstuvwxyz23456789';

/** `20261121T203612-k3x9f2`. `now` is the store's time, so that the runs of all machines stand in one order; `random` gives numbers in [0, 1). */
export function makeRunId(now: Date, random: () => number): RunId {
  const time = now.toISOString().replace(/[-:]/g, '').slice(0, 15);
  const tail = Array.from({ length: 6 }, () => letters[Math.floor(random() * letters.length)]).join('');
  return `${time}-${tail}`;
}

import type { IncomingHttpHeaders } from 'node:http';

/**
 * How long an API asks us to wait, in milliseconds: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), else the reset of a limit that is
 * used up (`RateLimit-Reset`, `X-RateLimit-Reset`: seconds, or a moment in seconds since 1970). A date is held against the server's own clock.
 * Null where it says nothing.
 */
export function askedWait(headers: IncomingHttpHeaders, now: Date): number | null {
  const server = Date.parse(headers.date ?? '');
  const clock = Number.isNaN(server) ? now.getTime() : server;
  const after = headers['retry-after']?.trim();
  if (after !== undefined && /^\d+(\.\d+)?$/.test(after)) return Math.ceil(Number(after) * 1000);
  const date = after === undefined ? Number.NaN : Date.parse(after);
  if (!Number.isNaN(date)) return Math.max(0, date - clock);
  if (!isUsedUp(headers)) return null;
  const reset = Number(first(headers['ratelimit-reset']) ?? first(headers['x-ratelimit-reset']));
  if (!Number.isFinite(reset) || reset < 0) return null;
  return Math.ceil(reset > 1_000_000_000 ? Math.max(0, reset * 1000 - clock) : reset * 1000);
}

/** A limit of requests that has nothing left: some APIs then answer 403. */
export const isUsedUp = (headers: IncomingHttpHeaders): boolean =>
  (first(headers['ratelimit-remaining']) ?? first(headers['x-ratelimit-remaining']))?.trim() === '0';

const first = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value);

const longestPauseMs = 30_000;

/** Before attempt `attempt` + 1, where the API has not said how long: doubled each time, with half of it left to chance. */
export const ownPause = (attempt: number, delayMs: number): number =>
  Math.min(longestPauseMs, delayMs * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);

/*
 * Postgres counts microseconds from 2000-01-01 00:00 UTC. Here instants are microseconds from 1970, as bigint: a number would still do
 * for them, and would not for the infinities of Postgres.
 */

/** 2000-01-01 in microseconds from 1970. */
export const postgresEpoch = 946_684_800_000_000n;

const postgresEpochMs = 946_684_800_000;

/** This moment as the replication protocol wants it. */
export const postgresNow = (): bigint => BigInt(Date.now() - postgresEpochMs) * 1000n;

/** `2026-01-31T23:59:59.123456Z` */
export function isoInstant(micros: bigint): string {
  const seconds = floorDiv(micros, 1_000_000n);
  const fraction = micros - seconds * 1_000_000n;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, -5)}.${String(fraction).padStart(6, '0')}Z`;
}

function floorDiv(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  return dividend % divisor < 0n ? quotient - 1n : quotient;
}

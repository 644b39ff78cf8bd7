import type { Weight } from './weight.ts';

/** Of Step Functions: an execution with more events fails, a definition with more bytes is refused. */
export const limits: Weight = { events: 25_000, bytes: 1_048_576 };

/** What a machine may have before a part of it gets one of its own: what a redrive adds must find room as well. */
export const comfortable: Weight = { events: 15_000, bytes: 900_000 };

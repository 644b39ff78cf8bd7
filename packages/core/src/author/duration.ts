import { MillraceError } from '../error/index.ts';
import type { Duration } from './step.ts';

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `'5m'` in milliseconds. @throws PIPELINE_INVALID */
export function milliseconds(duration: Duration): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration);
  if (!match) {
    throw new MillraceError('PIPELINE_INVALID', {
      message: `"${duration}" is not a duration.`,
      remedy: 'Write a number and a unit: 500ms, 30s, 5m, 2h, 1d.',
    });
  }
  return Number(match[1]) * units[match[2] as keyof typeof units];
}

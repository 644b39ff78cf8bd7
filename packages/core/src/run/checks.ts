import type { CheckResult, Log } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';

/** The gate before a commit: warnings are logged, failures let nothing through. @throws CHECK_FAILED */
export function gate(stage: string, results: readonly CheckResult[], log: Log): void {
  for (const { check, found } of results.filter(({ passed, severity }) => !passed && severity === 'warn')) {
    log.warn(`check "${check}" does not hold: ${found}`, { check });
  }
  const failed = results.filter(({ passed, severity }) => !passed && severity === 'fail');
  if (failed.length === 0) return;
  throw new MillraceError('CHECK_FAILED', {
    message: `Stage "${stage}": ${failed.map(describe).join('; ')}. Nothing was committed.`,
    remedy: 'Mend the rows at the source, or loosen the check if such rows are meant to be.',
    facts: { stage, checks: failed },
  });
}

function describe({ check, found, sample }: CheckResult): string {
  const shown = sample.slice(0, 3).join(', ');
  return `"${check}" does not hold (${found}${shown === '' ? '' : `: ${shown}`})`;
}

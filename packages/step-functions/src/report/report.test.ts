import { describe, expect, test } from 'vitest';
import { errorName } from '../work/retry.ts';
import { causeOf, endOfError } from './report.ts';

describe('a failure that is reported', () => {
  test.each([
    ['CONNECTION_FAILED', true, 'CONNECTION_FAILED'],
    // Its attempts are spent: the machine's retriers must not know the name.
    ['CONNECTION_FAILED', false, 'STAGE_FAILED'],
    ['CHECK_FAILED', false, 'CHECK_FAILED'],
    ['SHUTDOWN', true, 'SHUTDOWN'],
  ] as const)('%s, retry: %s, is called %s', (code, retry, name) => {
    expect(errorName(code, retry)).toBe(name);
  });

  test('has a cause for people, without secrets and as long as Step Functions takes it', () => {
    const error = { code: 'INTERNAL', message: `hush ${'x'.repeat(40_000)}`, remedy: 'none', facts: {} } as const;
    const cause = causeOf(error, (text) => text.replaceAll('hush', '***'));
    expect([cause.slice(0, 5), cause.length]).toEqual(['*** x', 32_768]);
  });

  test('that nobody has foreseen is not tried again', () => {
    expect(endOfError(new Error('what?'))).toMatchObject({ retry: false, error: { message: expect.stringContaining('what?') } });
  });
});

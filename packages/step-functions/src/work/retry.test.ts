import { expect, test } from 'vitest';
import { retriersOfReports } from './retry.ts';

test('a function whose process is gone, or whose time is over, is begun again, and that is none of the attempts that the plan allows', () => {
  const { Retry } = retriersOfReports({ retry: { attempts: 1, delayMs: 1_000, maxDelayMs: 1_000 } });
  expect(Retry).toHaveLength(1);
  expect(Retry[0]).toMatchObject({ ErrorEquals: expect.arrayContaining(['Runtime.ExitError', 'Sandbox.Timedout']), MaxAttempts: 4 });
});

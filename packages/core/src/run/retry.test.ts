import { expect, it } from 'vitest';
import type { ErrorCode } from '../error/index.ts';
import { judge } from './retry.ts';

const policy = { attempts: 4, delayMs: 1000, maxDelayMs: 3000 };
const error = (code: ErrorCode) => ({ code, message: '', remedy: '', facts: {} });

it('gives up what cannot pass, at once', () => {
  expect(judge(error('FUNCTION_FAILED'), 1, policy, 0.5)).toEqual({ kind: 'give-up' });
});

it('doubles the bound of the pause up to the longest, and takes a random part of it', () => {
  expect([1, 2, 3].map((attempt) => judge(error('CONNECTION_FAILED'), attempt, policy, 0.5))).toEqual([
    { kind: 'retry', delayMs: 500 },
    { kind: 'retry', delayMs: 1000 },
    { kind: 'retry', delayMs: 1500 },
  ]);
  expect(judge(error('CONNECTION_FAILED'), 1, policy, 0)).toEqual({ kind: 'retry', delayMs: 0 });
});

it('gives up after the last attempt', () => {
  expect(judge(error('CONNECTION_FAILED'), 4, policy, 0.5)).toEqual({ kind: 'give-up' });
});

it('knows an attempt that was taken away', () => {
  expect(judge(error('ATTEMPT_FENCED'), 4, policy, 0.5)).toEqual({ kind: 'lost' });
});

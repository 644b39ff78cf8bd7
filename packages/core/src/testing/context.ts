import type { Context } from '../connector/index.ts';
import { testSpool } from './spool.ts';

/** A context for tests of connectors: secrets are their own names, the log is silent, the spool a new directory. */
export function testContext(options: Partial<Context> = {}): Context {
  return {
    run: { id: 'test', pipeline: 'test', logicalTime: '2026-03-29T00:00:00.000Z', date: '2026-03-29', window: null, params: {} },
    signal: new AbortController().signal,
    secret: async ({ name }) => name,
    now: () => new Date(),
    log: { info: () => {}, warn: () => {} },
    spool: options.spool ?? testSpool(),
    progress: () => {},
    memoryBudget: 64 * 1024 * 1024,
    ...options,
  };
}

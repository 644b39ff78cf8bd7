import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { changeSinkConformance } from '@millrace/core/testing';
import { test } from 'vitest';
import { currentRows } from '../../../test/current-rows.ts';
import { testContext } from '../../../test/load.ts';
import { s3 } from '../index.ts';

changeSinkConformance(
  (name, body) => test(`change log: ${name}`, { timeout: 60_000 }, body),
  async () => {
    const home = mkdtempSync(join(tmpdir(), 'millrace-log-'));
    return {
      target: () => s3({ url: `file:${home}/lake` }).changelog({ prefix: 'log', format: 'csv' }),
      read: (name, schema) => currentRows(`file:${home}/lake/log`, name, schema),
      context: (options) =>
        testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')), memoryBudget: 256 * 1024 * 1024, ...options }),
      [Symbol.asyncDispose]: async () => rmSync(home, { recursive: true, force: true }),
    };
  },
  // What rows of before a column came, or got its name, have in it a log does not say.
  { isLog: true, columnChanges: ['drop', 'retype'], seeds: 3 },
);

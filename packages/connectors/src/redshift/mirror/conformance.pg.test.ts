import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { changeSinkConformance } from '@millrace/core/testing';
import { test } from 'vitest';
import { testDatabase } from '../../../../../test/postgres.ts';
import { testContext } from '../../../test/load.ts';
import { s3 } from '../../s3/index.ts';
import { redshift } from '../index.ts';

changeSinkConformance(
  (name, body) => test(`redshift on Postgres: ${name}`, { timeout: 60_000 }, body),
  async () => {
    const home = mkdtempSync(join(tmpdir(), 'millrace-mirror-'));
    const db = await testDatabase();
    return {
      target: () => redshift({ url: db.url }).apply({ schema: 'mirror', staging: s3({ url: `file:${home}/lake` }) }),
      context: (options) => testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')), ...options }),
      async [Symbol.asyncDispose]() {
        await db[Symbol.asyncDispose]();
        rmSync(home, { recursive: true, force: true });
      },
    };
  },
  { keyless: false, seeds: 4 },
);

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FilesRef } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { testBucket } from '../../../../test/s3.ts';
import { fact, facts } from '../../test/copy-once.ts';
import { loadRows, testContext } from '../../test/load.ts';
import { s3 } from '../s3/index.ts';
import { redshift } from './index.ts';

test('a Postgres in the place of Redshift reads the files of a manifest from S3', async () => {
  await using db = await testDatabase();
  await using bucket = await testBucket();
  const spool = mkdtempSync(join(tmpdir(), 'millrace-copy-s3-'));
  try {
    const { endpoint, region, credentials } = bucket;
    const place = { endpoint, region, credentials };
    const lake = s3({ url: bucket.url, ...place });
    const rows = Array.from({ length: 500 }, (_, id) => fact(id, '1.00', id % 2 ? 'odd' : ''));
    const context = testContext(undefined, { spool });
    const { columns } = facts;
    const staged = await loadRows(lake.parquet({ prefix: 'facts/' }), {
      id: 'f1',
      key: 'f',
      splits: [rows.slice(0, 250), rows.slice(250)],
      schema: { columns },
      context,
    });
    const files = staged.files as FilesRef;
    expect(files.location).toMatch(/^s3:\/\//);

    const target = redshift({ url: db.url, copyRole: 'default', files: place }).copy(facts, { mode: 'merge', schema: 'create' });
    await using sink = await target.open(context);
    const load = {
      id: 'c',
      owner: { pipeline: 'nightly', step: 'copied' },
      run: 'r',
      runAt: '2026',
      schema: { columns },
      window: null,
      files: [files],
      plan: null,
      parallel: false,
    };
    await using session = await sink.begin(load, { key: 'r/copied', epoch: 1 });
    const receipt = await session.commit([], { window: null, loadId: 'c', manifest: files.manifest });
    expect(receipt).toMatchObject({ rows: 500, changed: { inserted: 500, updated: 0, unchanged: 0 } });
    expect(await db.sql(`select count(*)::int as n, count(*) filter (where note = '')::int as empty from analytics.facts`)).toEqual([
      { n: 500, empty: 250 },
    ]);
  } finally {
    rmSync(spool, { recursive: true, force: true });
  }
});

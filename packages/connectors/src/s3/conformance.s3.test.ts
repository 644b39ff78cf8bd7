import { int4, table, text } from '@millrace/core';
import { rowsOf, type Selection } from '@millrace/core/runtime';
import { rowSinkConformance, rowSourceConformance, type SinkRow, sinkTable, testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type TestBucket, testBucket } from '../../../../test/s3.ts';
import { loadRows } from '../../test/load.ts';
import { s3 } from './index.ts';

let bucket: TestBucket;
let places = 0;
beforeAll(async () => {
  bucket = await testBucket();
});
afterAll(() => bucket[Symbol.asyncDispose]());

const lake = () => {
  const { url, endpoint, region, credentials } = bucket;
  return s3({ url: `${url}/conformance-${++places}`, endpoint, region, credentials });
};

async function all(selection: Selection): Promise<SinkRow[]> {
  await using source = await selection.open(testContext());
  const { splits } = await source.plan({ absorbed: [], since: null, splitBytes: 1 << 20, earlier: null });
  const rows: SinkRow[] = [];
  for (const split of splits) {
    const channel = await source.open(split, 'batches');
    if (channel.format === 'batches') for await (const batch of channel.batches) rows.push(...(rowsOf(batch) as unknown as SinkRow[]));
  }
  return rows;
}

describe('datasets on S3 are written as every target is', () => {
  rowSinkConformance(
    test,
    async () => {
      const connection = lake();
      return {
        target: (mode) => connection.parquet({ prefix: 'rows/', mode: mode === 'replace' ? mode : 'append' }),
        read: () => all(connection.dataset('rows/', sinkTable, { mayBeEmpty: true })),
        async [Symbol.asyncDispose]() {},
      };
    },
    { modes: ['append', 'replace'], forgetsFences: true },
  );
});

describe('datasets on S3 are read as every source is', () => {
  rowSourceConformance(test, async () => {
    const noted = table('noted', { id: int4(), note: text().orNull() }, { key: ['id'] });
    const rows = Array.from({ length: 30 }, (_, i) => ({ id: i, note: i % 3 === 0 ? null : `note ${i}` }));
    const connection = lake();
    await loadRows(connection.parquet({ prefix: 'noted/' }), {
      schema: noted,
      splits: [rows.slice(0, 12), rows.slice(12, 20), rows.slice(20)],
    });
    return { selection: connection.dataset('noted/', noted), rows, splitBytes: 1, async [Symbol.asyncDispose]() {} };
  });
});

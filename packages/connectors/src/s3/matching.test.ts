import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testContext } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { filesMatching, matchesUrl } from './index.ts';

test('a pattern with its place names files, each with what tells its content', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-matching-'));
  try {
    mkdirSync(join(folder, 'in', 'deep'), { recursive: true });
    for (const name of ['in/a.csv', 'in/b.txt', 'in/deep/c.csv', 'd.csv']) writeFileSync(join(folder, name), name);
    const found = async (pattern: string) => {
      const files = [];
      for await (const file of filesMatching(`file://${folder}/${pattern}`, {}, testContext())) files.push(file);
      return files;
    };
    const [a] = await found('in/*.csv');
    expect(a).toEqual({ url: `file://${folder}/in/a.csv`, etag: expect.stringMatching(/\w/), size: 8 });
    expect((await found('**/*.csv')).map(({ size }) => size).sort()).toEqual([13, 5, 8].sort());
    expect(await found('none/*.csv')).toEqual([]);
    writeFileSync(join(folder, 'in/a.csv'), 'other content');
    expect((await found('in/*.csv'))[0]?.etag).not.toBe(a?.etag);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  ['s3://lake/in/*.csv', 's3://lake/in/a.csv', true],
  ['s3://lake/in/*.csv', 's3://lake/in/deep/a.csv', false],
  ['s3://lake/in/**/*.csv', 's3://lake/in/deep/a.csv', true],
  ['s3://lake/in/2026-*/{a,b}.csv', 's3://lake/in/2026-03/b.csv', true],
  ['s3://lake/in/*.csv', 's3://other/in/a.csv', false],
  ['s3://lake/*', 's3://lake/a.csv', true],
] as const)('%s and %s: %s', (pattern, url, matches) => {
  expect(matchesUrl(pattern, url)).toBe(matches);
});

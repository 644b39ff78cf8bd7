import { expect, test } from 'vitest';
import { madeBy } from './made-by.ts';

test.each<[key: string | null, text: string | null]>([
  ['schedule:2026-03-29T01:00:00.000Z', 'by its schedule'],
  ['backfill:b-1:2026-03-29T01:00:00.000Z:2', 'by backfill b-1'],
  ['success:20260329T010000-abcdef', 'after run 20260329T010000-abcdef'],
  ['file:s3://lake/landing/a.csv@"etag"', 'by the file s3://lake/landing/a.csv'],
  ['notify:17', 'by a notification'],
  ['http:order-4711', 'by an HTTP request'],
  ['request:1b2c', 'by "millrace schedule trigger"'],
  ['my own key', null],
  [null, null],
])('a run with the key %j was made %j', (key, text) => {
  expect(madeBy(key)).toBe(text);
});

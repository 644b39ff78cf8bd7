import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bytea, int8, jsonb, table, text } from '@millrace/core';
import { rowSourceConformance } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { readAll } from '../../test/read.ts';
import { s3 } from '../s3/index.ts';
import { dynamodb } from './index.ts';

const orders = table('orders', { id: int8(), note: text().orNull(), raw: bytea().orNull(), more: jsonb().orNull() }, { key: ['id'] });
const rows = Array.from({ length: 30 }, (_, id) => ({
  id: BigInt(id),
  note: id % 4 === 0 ? null : `line\u2028${id}\r`,
  raw: id % 3 === 0 ? new Uint8Array([id, 255]) : null,
  more: id % 5 === 0 ? `{"B":["x"],"n":${id}}` : null,
}));
const itemOf = ({ id, note, raw, more }: (typeof rows)[number]) => ({
  id: { N: String(id) },
  ...(note !== null && { note: { S: note } }),
  ...(raw && { raw: { B: Buffer.from(raw).toString('base64') } }),
  ...(more !== null && { more: { M: { B: { L: [{ S: 'x' }] }, n: { N: String(id) } } } }),
});

/** A full export as DynamoDB lays it out. */
function exported(change: { readonly summary?: object; readonly files?: (bytes: Buffer, file: number) => Buffer | null } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'millrace-export-'));
  const folder = 'exports/AWSDynamoDB/01693685827463-2d8752fd';
  mkdirSync(join(home, folder, 'data'), { recursive: true });
  const listed = [rows.slice(0, 17), [], rows.slice(17)].map((some, file) => {
    const lines = some.map((row) => `${JSON.stringify({ Item: itemOf(row) })}\n`).join('');
    const bytes = change.files ? change.files(gzipSync(lines), file) : gzipSync(lines);
    if (bytes) writeFileSync(join(home, folder, 'data', `part${file}.json.gz`), bytes);
    return JSON.stringify({ itemCount: some.length, dataFileS3Key: `${folder}/data/part${file}.json.gz` });
  });
  writeFileSync(join(home, folder, 'manifest-files.json'), `${listed.join('\n')}\n`);
  const summary = {
    version: '2023-08-01',
    tableArn: 'arn:aws:dynamodb:eu-west-1:123456789012:table/orders',
    exportTime: '2026-03-29T02:00:00.000Z',
    itemCount: rows.length,
    outputFormat: 'DYNAMODB_JSON',
    exportType: 'FULL_EXPORT',
    ...change.summary,
  };
  writeFileSync(join(home, folder, 'manifest-summary.json'), JSON.stringify(summary));
  const lake = s3({ url: `file:${home}` });
  return {
    selection: dynamodb().exported(lake, folder, orders),
    elsewhere: dynamodb().exported(lake, 'exports', orders),
    async [Symbol.asyncDispose]() {
      rmSync(home, { recursive: true, force: true });
    },
  };
}

rowSourceConformance(
  (name, body) => test(`an export of dynamodb: ${name}`, body),
  async () => ({ ...exported(), rows, splitBytes: 1 }),
);

test('what is not the export that it says is refused', async () => {
  const code = async (of: ReturnType<typeof exported>, selection = of.selection) => {
    await using _ = of;
    return await readAll(selection).then(
      () => 'read',
      ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
    );
  };
  const whole = exported();
  expect(await code(whole, whole.elsewhere)).toMatch(/^TABLE_MISSING: .*no manifest-summary/);
  expect(await code(exported({ summary: { outputFormat: 'ION' } }))).toMatch(/^UNSUPPORTED: .*ION/);
  expect(await code(exported({ summary: { exportType: 'INCREMENTAL_EXPORT' } }))).toMatch(/^UNSUPPORTED: .*INCREMENTAL/);
  expect(await code(exported({ summary: { tableArn: 'arn:aws:dynamodb:eu-west-1:123456789012:table/others' } }))).toMatch(/^SCHEMA_DRIFT/);
  expect(await code(exported({ summary: { itemCount: 31 } }))).toMatch(/^FILE_CORRUPT: .*31 items/);
  expect(await code(exported({ files: (bytes, file) => (file === 2 ? bytes.subarray(0, 60) : bytes) }))).toMatch(/^FILE_CORRUPT: .*part2/);
  expect(await code(exported({ files: (bytes, file) => (file === 2 ? gzipSync('') : bytes) }))).toMatch(/^FILE_CORRUPT: .*has 0 items/);
  expect(await code(exported({ files: (bytes, file) => (file === 0 ? null : bytes) }))).toMatch(/^FILE_CORRUPT: .*is not there/);
});

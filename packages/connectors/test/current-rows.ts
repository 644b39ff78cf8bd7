import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { conform, decodeCsv, type RowSchema, rowsOf } from '@millrace/core/runtime';
import { listManifests, openDataset } from '../src/s3/index.ts';
import { type Row, testContext } from './load.ts';

/** The rows that a change log of CSV leaves for a table when it is gone through from its beginning. */
export async function currentRows(location: string, table: string, schema: RowSchema): Promise<Row[]> {
  const lines = (await linesOf(location, table)).sort(
    (a, b) => compare(String(a['_position']), String(b['_position'])) || compare(a['_ordinal'] as bigint, b['_ordinal'] as bigint),
  );
  const key = schema.key ?? schema.columns.map(({ name }) => name);
  const keyOf = (row: Row) => JSON.stringify(key.map((name) => (row[name] === null ? null : String(row[name]))));
  /** Several under one key where the key is all there is. */
  const rows = new Map<string, Row[]>();
  const take = (of: Row): Row | undefined => rows.get(keyOf(of))?.pop();
  const put = (row: Row): void => void rows.set(keyOf(row), [...((!schema.key && rows.get(keyOf(row))) || []), row]);
  for (const { _op, _position, _ordinal, _committed_at, _xid, _unchanged, _before, ...row } of lines) {
    const before = _before === null ? null : (JSON.parse(_before as string) as Row);
    if (_op === 'truncate') rows.clear();
    else if (_op === 'delete') take(before ?? row);
    else if (_op === 'update') {
      const old = take(before ?? row);
      for (const name of _unchanged === null ? [] : (JSON.parse(_unchanged as string) as string[])) row[name] = old?.[name];
      put(row);
    } else put(row);
  }
  const fitting = schema.columns.map(({ name, type }) => [name, conform(type)] as const);
  return [...rows.values()]
    .flat()
    .map((row) => Object.fromEntries(fitting.map(([name, fit]) => [name, row[name] === null ? null : fit(row[name])])));
}

async function linesOf(location: string, table: string): Promise<Record<string, unknown>[]> {
  await using storage = await openDataset(location, {}, testContext());
  const lines: Record<string, unknown>[] = [];
  for (const manifest of await listManifests(storage)) {
    for (const { key, bytes, etag, log } of manifest.files) {
      if (log?.table !== table) continue;
      const path = await storage.fetch({ key, size: bytes, etag }, '');
      const text = createReadStream(path).pipe(createGunzip());
      for await (const batch of decodeCsv(manifest.schemas![log.schema]!, withoutLine(text))) lines.push(...rowsOf(batch));
    }
  }
  return lines;
}

async function* withoutLine(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let isFirst = true;
  for await (const chunk of chunks) {
    const end: number = isFirst ? chunk.indexOf(10) + 1 : 0;
    isFirst = isFirst && end === 0;
    if (!isFirst) yield chunk.subarray(end);
  }
}

const compare = <Value extends string | bigint>(a: Value, b: Value): number => (a < b ? -1 : a > b ? 1 : 0);

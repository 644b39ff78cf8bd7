import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { listManifests, openDataset, type StoreSettings } from '../src/s3/index.ts';
import { testContext } from './load.ts';

export type LogLine = Record<string, unknown> & { readonly _op: string; readonly _position: string; readonly _ordinal: number };

/** What a change log of JSON Lines holds, by table, in the order of the stream. */
export async function readLog(location: string, settings: StoreSettings = {}, spool = '/tmp'): Promise<Record<string, LogLine[]>> {
  const context = testContext(undefined, { spool });
  await using storage = await openDataset(location, settings, context);
  const tables: Record<string, LogLine[]> = {};
  let copies = 0;
  for (const manifest of await listManifests(storage)) {
    for (const { key, bytes, etag, rows, log } of manifest.files) {
      const path = await storage.fetch({ key, size: bytes, etag }, `${spool}/read-log-${process.pid}-${++copies}`);
      const lines = gunzipSync(readFileSync(path)).toString().trimEnd().split('\n');
      if (lines.length !== rows) throw new Error(`${key} has ${lines.length} lines, and the manifest says ${rows}.`);
      tables[log!.table] = [...(tables[log!.table] ?? []), ...lines.map((line) => JSON.parse(line) as LogLine)];
    }
  }
  for (const lines of Object.values(tables))
    lines.sort((a, b) => (a._position < b._position ? -1 : a._position > b._position ? 1 : a._ordinal - b._ordinal));
  return tables;
}

/** The rows that a log leaves when it is gone through from its beginning, sorted by id. */
export function stateOf(lines: readonly LogLine[]): Record<string, unknown>[] {
  const rows = new Map<unknown, Record<string, unknown>>();
  for (const { _op, _position, _ordinal, _committed_at, _xid, _unchanged, _before, ...row } of lines) {
    const before = _before === null ? null : (JSON.parse(_before as string) as Record<string, unknown>);
    const old = rows.get(before ? before['id'] : row['id']);
    switch (_op) {
      case 'truncate':
        rows.clear();
        break;
      case 'delete':
        rows.delete(row['id']);
        break;
      case 'update':
        for (const name of _unchanged === null ? [] : (JSON.parse(_unchanged as string) as string[])) row[name] = old![name];
        if (before) rows.delete(before['id']);
        rows.set(row['id'], row);
        break;
      default:
        rows.set(row['id'], row);
    }
  }
  return [...rows.values()].sort((a, b) => Number(a['id']) - Number(b['id']));
}

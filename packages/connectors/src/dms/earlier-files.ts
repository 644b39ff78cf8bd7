import { identityOf, type JournalFile } from './journal.ts';
import { type DmsFile, fileIn, folderOf, transactionFile } from './layout.ts';
import { clockMargin } from './load-files.ts';
import { transactionStream } from './scan.ts';
import { placeIn, type SourceParts } from './source-parts.ts';

type Parts = Pick<SourceParts, 'storage' | 'settings' | 'readings' | 'journal' | 'tables'>;

/** Of each stream, the last stamp of the files that are older than the full load. */
export async function horizonsOf(parts: Parts, startedAt: string): Promise<Record<string, string>> {
  const { storage, settings, tables } = parts;
  const horizons: Record<string, string> = {};
  const streams = settings.reading.transactions === null ? Object.keys(tables) : [transactionStream];
  for (const stream of streams) {
    const { folder, fileOf } = filesOf(parts, stream);
    let last = '';
    for await (const { key, modified } of storage.list(folder)) {
      const file = fileOf(key);
      if (file?.kind !== 'changes' || modified.getTime() >= Date.parse(startedAt) - clockMargin) continue;
      if (file.stamp > last) last = file.stamp;
    }
    horizons[stream] = last;
  }
  return horizons;
}

/** Every file with changes of a table that an entry before this one has, as far as it is still there. */
export async function changesBefore(parts: Parts, table: string, entry: number): Promise<JournalFile[]> {
  const { journal, storage, settings } = parts;
  const begun = (journal.begin?.entry ?? 0) + 1;
  if (entry <= begun) return [];
  const stream = settings.reading.transactions === null ? table : transactionStream;
  const state = journal.streamOf(stream);
  const { folder, fileOf } = filesOf(parts, stream);
  const since = Date.parse(journal.begin?.startedAt ?? '') - clockMargin;
  const files: JournalFile[] = [];
  for await (const { key, etag, size, modified } of storage.list(folder)) {
    const file = fileOf(key);
    if (file?.kind !== 'changes' || modified.getTime() < since) continue;
    const known = state.recent.get(identityOf({ key, etag }));
    if (known ? known.entry < entry : file.stamp <= state.horizon)
      files.push({ key, etag, size, modified: modified.toISOString(), stamp: file.stamp });
  }
  return files;
}

/** Where the files of a stream are, and what their names say. */
function filesOf(parts: Parts, stream: string): { readonly folder: string; readonly fileOf: (key: string) => DmsFile | null } {
  const { reading } = parts.settings;
  const folder = reading.transactions ?? folderOf(placeIn(parts, stream));
  return { folder, fileOf: (key) => (reading.transactions === null ? fileIn(folder, key, reading) : transactionFile(folder, key)) };
}

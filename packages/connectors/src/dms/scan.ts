import { MillraceError } from '@millrace/core/runtime';
import type { Storage } from '../s3/storage.ts';
import { identityOf, type Journal, type JournalFile, type StreamState } from './journal.ts';
import { type DmsFile, fileIn, folderOf, transactionFile } from './layout.ts';
import { clockMargin } from './load-files.ts';
import type { TablePlace } from './mappings.ts';
import type { Reading } from './output.ts';
import { type EdgedFile, type Edges, wholeTransactions } from './transaction-files.ts';

/** The stream of files of all tables together, where DMS keeps transactions. No table has this name. */
export const transactionStream = '*';

/** Files of one entry: one conversion reads them, and holds their rows. */
const mostFiles = 64;
const mostBytes = 128 * 1024 * 1024;

export interface ScanOf {
  readonly storage: Storage;
  readonly journal: Journal;
  readonly reading: Reading;
  readonly places: Readonly<Record<string, TablePlace>>;
  /** Files younger than this are left for the next look, so that those which were written before them can appear. */
  readonly settleMs: number;
  readonly now: () => Date;
  /** How long a file may be the newest before its last transaction counts as whole. */
  readonly transactionWaitMs: number;
  readonly edges: (file: JournalFile) => Promise<Edges | null>;
}

export interface Found {
  /** Files of changes that no entry has, in the order of their stamps, for each stream. */
  readonly changes: ReadonlyMap<string, readonly (readonly JournalFile[])[]>;
  /** True where there are files of a full load that no entry knows. */
  readonly reloaded: boolean;
}

/** What stands there and is in no entry of the journal. `whole`: also looks for files that came too late to be told apart. */
export async function findFiles(of: ScanOf, whole: boolean): Promise<Found> {
  const changes = new Map<string, (readonly JournalFile[])[]>();
  let reloaded = false;
  const { transactions } = of.reading;
  for (const [name, place] of Object.entries(of.places)) {
    const folder = folderOf(place);
    const state = of.journal.streamOf(name);
    const after = transactions === null && !of.reading.partitioned && !whole ? keyOfStamp(folder, state.horizon) : undefined;
    const fresh = new Fresh(name, of, state);
    for await (const stored of of.storage.list(transactions === null ? folder : `${folder}LOAD`, after === undefined ? {} : { after })) {
      const file = fileIn(folder, stored.key, of.reading);
      if (file?.kind === 'load') reloaded ||= isNewLoad(of.journal, name, stored);
      else if (file) fresh.add(file, stored);
    }
    if (fresh.files.length > 0) changes.set(name, portions(fresh.files));
  }
  if (transactions !== null) {
    const state = of.journal.streamOf(transactionStream);
    const fresh = new Fresh(transactionStream, of, state);
    for await (const stored of of.storage.list(transactions)) {
      const file = transactionFile(transactions, stored.key);
      if (file) fresh.add(file, stored);
    }
    if (fresh.files.length > 0) changes.set(transactionStream, await wholePortions(fresh.files, of));
  }
  return { changes, reloaded };
}

interface StoredFile {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  readonly modified: Date;
}

class Fresh {
  readonly files: JournalFile[] = [];
  readonly #stream: string;
  readonly #of: ScanOf;
  readonly #state: StreamState;
  readonly #since: number;

  constructor(stream: string, of: ScanOf, state: StreamState) {
    this.#stream = stream;
    this.#of = of;
    this.#state = state;
    const load = of.journal.loads.get(stream)?.startedAt ?? of.journal.begin?.startedAt;
    this.#since = load === undefined ? 0 : Date.parse(load) - clockMargin;
  }

  add(file: DmsFile, { key, etag, size, modified }: StoredFile): void {
    if (file.kind !== 'changes') return;
    const { recent, horizon, horizonAt } = this.#state;
    if (recent.has(identityOf({ key, etag }))) return;
    if (file.stamp <= horizon) {
      if (modified.getTime() > Date.parse(horizonAt) + clockMargin) throw tooLate(this.#of.storage.url + key, this.#stream);
      return;
    }
    // What was written before the load began is in the load.
    if (modified.getTime() < this.#since) return;
    if (modified.getTime() > this.#of.now().getTime() - this.#of.settleMs) return;
    this.files.push({ key, etag, size, modified: modified.toISOString(), stamp: file.stamp });
  }
}

function isNewLoad(journal: Journal, table: string, { key, etag, modified }: StoredFile): boolean {
  const known = journal.loads.get(table);
  if (!known || known.files.some((file) => file.key === key && file.etag === etag)) return false;
  return modified.getTime() > Date.parse(known.startedAt);
}

async function wholePortions(files: readonly JournalFile[], of: ScanOf): Promise<JournalFile[][]> {
  const edged: EdgedFile[] = [];
  for (const file of sorted(files)) edged.push({ file, edges: await of.edges(file) });
  const isYoung = ({ modified }: JournalFile): boolean => Date.parse(modified) > of.now().getTime() - of.transactionWaitMs;
  return together(wholeTransactions(edged, isYoung));
}

const portions = (files: readonly JournalFile[]): JournalFile[][] => together(sorted(files).map((file) => [file]));

/** As many as one conversion may read; what belongs together stays so, however much it is. */
function together(chains: readonly (readonly JournalFile[])[]): JournalFile[][] {
  const all: JournalFile[][] = [];
  let bytes = 0;
  for (const chain of chains) {
    const size = chain.reduce((sum, file) => sum + file.size, 0);
    const last = all.at(-1);
    if (last && last.length + chain.length <= mostFiles && bytes + size <= mostBytes) {
      last.push(...chain);
      bytes += size;
    } else {
      all.push([...chain]);
      bytes = size;
    }
  }
  return all;
}

const sorted = (files: readonly JournalFile[]): JournalFile[] =>
  [...files].sort((a, b) => (a.stamp === b.stamp ? (a.key < b.key ? -1 : 1) : a.stamp < b.stamp ? -1 : 1));

/** Names sort as their stamps do, so a listing can begin behind the horizon. */
const keyOfStamp = (folder: string, stamp: string): string | undefined =>
  stamp === '' ? undefined : `${folder}${stamp.slice(0, 8)}-${stamp.slice(8)}`;

const tooLate = (label: string, stream: string): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message: `${label} came so late that it cannot be told any more which of its changes were followed by others.`,
    remedy: `Raise lookBack in dms(), and run "millrace resync" to load the tables again.`,
    facts: { file: label, stream },
  });

import { type ChangeGroup, MillraceError, type RowSchema } from '@millrace/core/runtime';
import { convertChanges, type FileFacts, forget, type StampedFile } from './convert.ts';
import { passing } from './failpoints.ts';
import { groupsOf, nothingUpTo } from './groups.ts';
import type { Entry, EntryFacts, Journal, JournalFile, RecentFile } from './journal.ts';
import { positionAt } from './place.ts';
import { reloadGroup } from './reload-group.ts';
import { transactionStream } from './scan.ts';
import { readingIn, type SourceParts } from './source-parts.ts';
import { FetchedFiles } from './table-source.ts';

/** What a reader wants of an entry of the journal. */
export interface Wanted {
  readonly number: number;
  /** The place within it from which on; 0 for all of it. */
  readonly from: number;
  readonly tables: readonly string[];
  readonly signal: AbortSignal;
}

/** The groups of one entry, read from its files. @throws RESYNC_REQUIRED */
export async function* entryGroups(parts: SourceParts, wanted: Wanted): AsyncGenerator<ChangeGroup, void, undefined> {
  const { number, tables } = wanted;
  const entry = await parts.journal.entry(number);
  const end = positionAt(number + 1);
  switch (entry.kind) {
    case 'begin':
      throw begunAnew(parts.pipeline, number);
    case 'loaded':
    case 'mark':
      return yield nothingUpTo(end);
    case 'reload':
      if (!tables.includes(entry.table)) return yield nothingUpTo(end);
      return yield* reloaded(parts, entry, number);
    case 'changes': {
      const isAny = entry.stream === transactionStream ? tables.length > 0 : tables.includes(entry.stream);
      if (!isAny) return yield nothingUpTo(end);
      return yield* changed(parts, entry, wanted);
    }
    default:
      entry satisfies never;
  }
}

async function* changed(
  parts: SourceParts,
  entry: Extract<Entry, { readonly kind: 'changes' }>,
  { number, from, tables, signal }: Wanted,
): AsyncGenerator<ChangeGroup, void, undefined> {
  const { journal, storage, context, settings, readings } = parts;
  // Of the transactions always all tables: places must not depend on who reads.
  const all = entry.stream === transactionStream ? [...readings.keys()] : [entry.stream];
  const kind = entry.stream === transactionStream ? 'transactions' : 'changes';
  await using fetched = new FetchedFiles(storage, context);
  const known = await journal.facts(number);
  let against: readonly JournalFile[] = [];
  const converted = await convertChanges(
    {
      tables: new Map(all.map((name) => [name, readingIn(parts, name)])),
      files: await fetched.all(entry.files, kind),
      earlier: async (facts) => {
        against = known?.against ?? (await overlapping(journal, entry.stream, number, facts));
        return fetched.all(against, kind);
      },
      order: entry.stream === transactionStream ? 'file' : 'sequence',
      lobKilobytes: settings.lobKilobytes,
    },
    context,
  );
  try {
    const facts: EntryFacts = { files: converted.facts, against };
    if (!known) await journal.keepFacts(number, facts);
    passing('dms.facts.kept');
    const schemas = new Map<string, RowSchema>(all.map((name) => [name, readingIn(parts, name).schema]));
    yield* only(groupsOf(converted, { entry: number, from, tables: schemas, signal }), tables, all);
  } finally {
    await forget(converted);
  }
}

/** Files of earlier entries that have a change as late as the first of these. @throws RESYNC_REQUIRED where some were forgotten */
async function overlapping(journal: Journal, stream: string, number: number, facts: readonly FileFacts[]): Promise<JournalFile[]> {
  const lows = facts.filter(({ rows }) => rows > 0).map(({ low }) => low);
  if (lows.length === 0) return [];
  const [low = ''] = lows.sort();
  const state = journal.streamOf(stream);
  if (state.highest !== '' && low <= state.highest) throw forgotten(stream, low, state.highest);
  const earlier = [...state.recent.values()].filter((file) => file.entry < number);
  for (const file of earlier) if (file.facts === null) await journal.facts(file.entry);
  return earlier.filter((file) => file.facts === null || (file.facts.rows > 0 && file.facts.high >= low)).map(plain);
}

const plain = ({ key, etag, size, modified, stamp }: RecentFile): JournalFile => ({ key, etag, size, modified, stamp });

async function* reloaded(
  parts: SourceParts,
  entry: Extract<Entry, { readonly kind: 'reload' }>,
  number: number,
): AsyncGenerator<ChangeGroup, void, undefined> {
  const { storage, context, settings } = parts;
  await using fetched = new FetchedFiles(storage, context);
  const load: StampedFile[] = await fetched.all(entry.files, 'load');
  yield reloadGroup({
    name: entry.table,
    table: readingIn(parts, entry.table),
    load,
    startedAt: entry.startedAt,
    rows: entry.rows,
    lobKilobytes: settings.lobKilobytes(entry.table),
    entry: number,
    context,
  });
}

/** Leaves out the tables that the reader did not ask for. */
async function* only(
  groups: AsyncIterable<ChangeGroup>,
  tables: readonly string[],
  all: readonly string[],
): AsyncGenerator<ChangeGroup, void, undefined> {
  if (all.every((table) => tables.includes(table))) return yield* groups;
  for await (const group of groups) {
    yield {
      transactions: group.transactions,
      size: group.size,
      position: () => group.position(),
      parts: (async function* () {
        for await (const part of group.parts) if (part.kind === 'changes' && tables.includes(part.table)) yield part;
      })(),
    };
  }
}

const begunAnew = (pipeline: string, number: number): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message: `A new full load was begun at entry ${number} of the journal, and this reader comes from the one before.`,
    remedy: `Run "millrace resync ${pipeline}" to take the tables from the new one.`,
    facts: { entry: number },
  });

const forgotten = (stream: string, low: string, highest: string): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message: `Files of "${stream}" came with changes (${low}) older than all that is looked back on (up to ${highest}): which of them were followed by others cannot be told.`,
    remedy: 'Raise lookBack in dms(), and run "millrace resync" to load the tables again.',
    facts: { stream, low, highest },
  });

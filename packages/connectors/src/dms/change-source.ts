import { setTimeout as sleep } from 'node:timers/promises';
import {
  type CapturedTable,
  type ChangeGroup,
  type ChangeSource,
  type Context,
  MillraceError,
  type Position,
  type ReadChanges,
  type RowSchema,
  type StreamHealth,
  type StreamIdentity,
  type StreamStatus,
  type TableSnapshot,
} from '@millrace/core/runtime';
import type { Storage } from '../s3/storage.ts';
import { type DmsControl, keepTask, sameTask, settled } from './control.ts';
import { convertChanges, type FileFacts, forget, type StampedFile } from './convert.ts';
import { passing } from './failpoints.ts';
import { groupsOf, nothingUpTo } from './groups.ts';
import { type Entry, type EntryFacts, identityOf, type Journal, type JournalFile, type LoadedTable, type RecentFile } from './journal.ts';
import { fileIn, folderOf, transactionFile } from './layout.ts';
import { type Begin, checkAlive, type DmsStatus, howToBegin, howToGoOn } from './life-cycle.ts';
import { clockMargin, isLoaded, loadFilesOf, statisticsOf } from './load-files.ts';
import type { TablePlace } from './mappings.ts';
import type { EngineSettings } from './options.ts';
import { placeOf, positionAt } from './place.ts';
import type { TableReading } from './read-file.ts';
import { reloadGroup } from './reload-group.ts';
import { findFiles, transactionStream } from './scan.ts';
import { type Shapes, shapeProblem } from './source-shape.ts';
import { DmsTableSource, FetchedFiles, type TableFiles } from './table-source.ts';
import { type Edges, edgesOf } from './transaction-files.ts';

export interface SourceParts {
  readonly settings: EngineSettings;
  readonly tables: Readonly<Record<string, CapturedTable>>;
  readonly readings: ReadonlyMap<string, TableReading>;
  readonly context: Context;
  readonly storage: Storage;
  readonly control: DmsControl;
  readonly journal: Journal;
  /** What the journal is named after. */
  readonly slot: string;
  readonly pipeline: string;
  /** How the tables of the source are now; null where it cannot be asked. */
  readonly shapes: ((context: Context) => Promise<Shapes>) | null;
  /** Holds a count of the full load against the source. */
  readonly check: (table: string, loaded: number) => Promise<void>;
}

/** Between two looks at the task while its files are read, in milliseconds. */
const statusEvery = 30_000;

/** What DMS writes to S3, as a stream. */
export class DmsChangeSource implements ChangeSource {
  readonly #parts: SourceParts;
  #released = 0;
  #wake: () => void = () => {};
  #scanning: Promise<unknown> = Promise.resolve();
  #isWhole = true;
  /** When the statistics of the tables, and their shapes, were looked at last. */
  #counted = performance.now();
  /** Of files of transactions that no entry has yet. */
  readonly #edges = new Map<string, Edges | null>();
  /** The commit with which the newest entry of transactions ends. */
  #lastCommit: string | null = null;
  readonly #warned = new Set<string>();

  constructor(parts: SourceParts) {
    this.#parts = parts;
  }

  async stream(): Promise<StreamStatus | null> {
    const { journal } = this.#parts;
    await journal.refresh();
    const { control, context } = this.#parts;
    if (!journal.begin || (await control.status(context)).freshStart === null) return null;
    await this.#goOn();
    await this.#scan();
    const identity = this.#identity();
    const [, confirmed = identity.origin] = [positionAt(journal.first), identity.origin].sort();
    return { identity, confirmed, end: positionAt(journal.next) };
  }

  async create(): Promise<{ readonly identity: StreamIdentity; readonly snapshot: TableSnapshot }> {
    const { journal } = this.#parts;
    await journal.refresh();
    const shapes = await this.#parts.shapes?.(this.#parts.context);
    const startedAt = await this.#begin(journal.begin?.startedAt ?? null);
    passing('dms.task.started');
    do await journal.refresh();
    while (!(await journal.append({ kind: 'begin', startedAt, horizons: await this.#horizons(startedAt), ...(shapes && { shapes }) })));
    const identity = this.#identity();
    return { identity, snapshot: this.#snapshot(identity.origin, Object.keys(this.#parts.tables)) };
  }

  async snapshot(tables: readonly string[]): Promise<TableSnapshot> {
    await this.#goOn();
    await this.#scan();
    return this.#snapshot(positionAt(this.#parts.journal.next), tables);
  }

  async *read(after: Position, options: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
    await this.#goOn();
    yield* this.#follow(after, options, Object.keys(this.#parts.tables));
  }

  release(position: Position): void {
    const { entry } = placeOf(position);
    if (entry <= this.#released) return;
    this.#released = entry;
    void this.#parts.journal.prune(entry).catch((error: unknown) => {
      this.#parts.context.log.warn(
        `old entries of the journal could not be removed: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }

  async nudge(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#parts.journal.append({ kind: 'mark' });
    });
    this.#wake();
  }

  async health(): Promise<StreamHealth> {
    const { journal, control, context, slot } = this.#parts;
    const state = await control.status(context);
    checkAlive(state, control.label);
    const waiting = [...journal.streams.values()].flatMap(({ recent }) =>
      [...recent.values()].filter(({ entry }) => entry >= this.#released),
    );
    const bytes = waiting.reduce((sum, { size }) => sum + size, 0);
    return {
      slot,
      state: state.status,
      retainedBytes: bytes,
      budgetBytes: null,
      lagBytes: bytes,
      growthPerSecond: 0,
      spooledBytes: 0,
      warnings:
        state.status === 'running' ? [] : [`${control.label} is ${state.status}${state.stopReason ? ` (${state.stopReason})` : ''}`],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scanning.catch(() => {});
    await this.#parts.storage[Symbol.asyncDispose]();
  }

  #identity(): StreamIdentity {
    const { control, journal, slot } = this.#parts;
    return { source: `dms:${control.arn}`, slot, origin: positionAt((journal.begin?.entry ?? 0) + 1) };
  }

  /** Brings the task to a full load that nobody has followed yet; when that began. */
  async #begin(followed: string | null): Promise<string> {
    const { control, context, settings } = this.#parts;
    for (;;) {
      const state = await control.status(context);
      const begin = this.#adoptable(howToBegin(state, followed), state);
      switch (begin.do) {
        case 'adopt':
          return begin.startedAt;
        case 'wait':
          await sleep(settings.lookMs, undefined, { signal: context.signal });
          break;
        case 'stop':
          context.log.info(`stops ${control.label}, so that it can load the tables again`);
          await control.stop(context);
          await settled(control, ['running', 'stopping'], context, settings.lookMs);
          break;
        default: {
          await keepTask(control, settings.task, context, settings.lookMs);
          await control.start(begin.do === 'start' ? 'start-replication' : 'reload-target', context);
          const was = state.freshStart;
          await this.#until(({ freshStart }) => freshStart !== null && freshStart !== was);
        }
      }
    }
  }

  /** A load that somebody has begun with other mappings or settings is none of ours. */
  #adoptable(begin: Begin, state: DmsStatus): Begin {
    const { settings } = this.#parts;
    if (begin.do !== 'adopt' || !settings.manage) return begin;
    const { sameTables, sameSettings } = sameTask(state, settings.task);
    return sameTables && sameSettings ? begin : { do: 'stop' };
  }

  async #until(isSo: (state: Awaited<ReturnType<DmsControl['status']>>) => boolean): Promise<void> {
    const { control, context, settings } = this.#parts;
    for (;;) {
      const state = await control.status(context);
      if (isSo(state)) return;
      checkAlive(state, control.label);
      await sleep(settings.lookMs, undefined, { signal: context.signal });
    }
  }

  async #goOn(): Promise<void> {
    const { control, context, settings } = this.#parts;
    for (;;) {
      const next = howToGoOn(await control.status(context), control.label);
      if (next.do === 'nothing') return;
      if (next.do === 'resume') {
        context.log.info(`resumes ${control.label}`);
        return control.start('resume-processing', context);
      }
      await sleep(settings.lookMs, undefined, { signal: context.signal });
    }
  }

  /** The last stamps of files that are older than the full load. */
  async #horizons(startedAt: string): Promise<Record<string, string>> {
    const { storage, settings } = this.#parts;
    const { reading } = settings;
    const horizons: Record<string, string> = {};
    const streams = reading.transactions === null ? Object.keys(this.#parts.tables) : [transactionStream];
    for (const stream of streams) {
      const folder = reading.transactions ?? folderOf(this.#placeOf(stream));
      let last = '';
      for await (const { key, modified } of storage.list(folder)) {
        const file = reading.transactions === null ? fileIn(folder, key, reading) : transactionFile(folder, key);
        if (file?.kind !== 'changes' || modified.getTime() >= Date.parse(startedAt) - clockMargin) continue;
        if (file.stamp > last) last = file.stamp;
      }
      horizons[stream] = last;
    }
    return horizons;
  }

  #placeOf = (table: string): TablePlace => (this.#parts.readings.get(table) as TableReading).place;

  #snapshot(position: Position, tables: readonly string[]): TableSnapshot {
    const { storage, context, settings, readings } = this.#parts;
    return {
      position,
      table: async (name) =>
        new DmsTableSource({
          name,
          table: readings.get(name) as TableReading,
          lobKilobytes: settings.lobKilobytes(name),
          storage,
          context,
          files: () => this.#filesAt(name, position),
          check: (rows) => this.#parts.check(name, rows),
        }),
      read: (options) => this.#follow(position, options, tables),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  async #filesAt(name: string, position: Position): Promise<TableFiles> {
    const { journal, storage, control, context, settings } = this.#parts;
    const { entry } = placeOf(position);
    if (!journal.loads.has(name)) {
      const from = { storage, control, reading: settings.reading, context, everyMs: settings.lookMs };
      const load = await loadFilesOf(from, this.#placeOf(name), journal.begin?.startedAt ?? new Date(0).toISOString());
      await this.#inTurn(async () => {
        while (!journal.loads.has(name)) await journal.append({ kind: 'loaded', table: name, ...load });
      });
    }
    const load = journal.loads.get(name) as LoadedTable;
    const changes = await this.#changesBefore(name, entry);
    return {
      load: load.files,
      loadedRows: load.rows,
      changes: changes.map((file) => ({
        ...file,
        isAfter: Date.parse(file.modified) >= Date.parse(load.startedAt) - clockMargin,
      })),
    };
  }

  /** Every file of changes that an entry before this one has, as far as it is still there. */
  async #changesBefore(name: string, entry: number): Promise<JournalFile[]> {
    const { journal, storage, settings } = this.#parts;
    const { reading } = settings;
    const begun = (journal.begin?.entry ?? 0) + 1;
    if (entry <= begun) return [];
    const stream = reading.transactions === null ? name : transactionStream;
    const state = journal.streamOf(stream);
    const folder = reading.transactions ?? folderOf(this.#placeOf(name));
    const since = Date.parse(journal.begin?.startedAt ?? '') - clockMargin;
    const files: JournalFile[] = [];
    for await (const { key, etag, size, modified } of storage.list(folder)) {
      const file = reading.transactions === null ? fileIn(folder, key, reading) : transactionFile(folder, key);
      if (file?.kind !== 'changes' || modified.getTime() < since) continue;
      const known = state.recent.get(identityOf({ key, etag }));
      if (known ? known.entry < entry : file.stamp <= state.horizon)
        files.push({ key, etag, size, modified: modified.toISOString(), stamp: file.stamp });
    }
    return files;
  }

  async *#follow(after: Position, options: ReadChanges, tables: readonly string[]): AsyncGenerator<ChangeGroup, void, undefined> {
    const { journal, context, control, settings } = this.#parts;
    const signal = AbortSignal.any([options.signal, context.signal]);
    let { entry, place } = placeOf(after);
    let looked = performance.now();
    while (!signal.aborted) {
      if (options.until !== undefined && positionAt(entry, place) >= options.until) return;
      if (entry >= journal.next) {
        await this.#scan();
        if (entry < journal.next) continue;
        if (performance.now() - looked > statusEvery) {
          checkAlive(await control.status(context), control.label);
          looked = performance.now();
        }
        await this.#pause(settings.pollMs, signal);
        continue;
      }
      try {
        for await (const group of this.#groups(entry, place, tables, signal)) {
          yield group;
          passing('dms.group.handed');
          if (options.until !== undefined && group.position() >= options.until) return;
        }
      } catch (error) {
        // An end that was asked for is none that broke off.
        if (signal.aborted && !context.signal.aborted && error === signal.reason) return;
        throw error;
      }
      entry++;
      place = 0;
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const before = this.#wake;
    this.#wake = () => {
      stop.abort();
      before();
    };
    await sleep(ms, undefined, { signal: AbortSignal.any([signal, stop.signal]) }).catch(() => {});
    this.#wake = before;
  }

  async *#groups(
    number: number,
    from: number,
    tables: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<ChangeGroup, void, undefined> {
    const entry = await this.#parts.journal.entry(number);
    const end = positionAt(number + 1);
    switch (entry.kind) {
      case 'begin':
        throw begunAnew(this.#parts.pipeline, number);
      case 'loaded':
      case 'mark':
        return yield nothingUpTo(end);
      case 'reload':
        if (!tables.includes(entry.table)) return yield nothingUpTo(end);
        return yield* this.#reload(entry, number);
      case 'changes': {
        const wanted = entry.stream === transactionStream ? tables : tables.filter((table) => table === entry.stream);
        if (wanted.length === 0) return yield nothingUpTo(end);
        return yield* this.#changes(entry, number, from, tables, signal);
      }
      default:
        entry satisfies never;
    }
  }

  async *#changes(
    entry: Extract<Entry, { readonly kind: 'changes' }>,
    number: number,
    from: number,
    tables: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<ChangeGroup, void, undefined> {
    const { journal, storage, context, settings, readings } = this.#parts;
    // Of the transactions always all tables: places must not depend on who reads.
    const all = entry.stream === transactionStream ? [...readings.keys()] : [entry.stream];
    const kind = entry.stream === transactionStream ? 'transactions' : 'changes';
    await using fetched = new FetchedFiles(storage, context);
    const known = await journal.facts(number);
    let against: readonly JournalFile[] = [];
    const converted = await convertChanges(
      {
        tables: new Map(all.map((name) => [name, readings.get(name) as TableReading])),
        files: await fetched.all(entry.files, kind),
        earlier: async (facts) => {
          against = known?.against ?? (await this.#overlapping(entry.stream, number, facts));
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
      const schemas = new Map<string, RowSchema>(all.map((name) => [name, (readings.get(name) as TableReading).schema]));
      yield* only(groupsOf(converted, { entry: number, from, tables: schemas, signal }), tables, all);
    } finally {
      await forget(converted);
    }
  }

  /** Files of earlier entries that have a change as late as the first of these. @throws RESYNC_REQUIRED where some were forgotten */
  async #overlapping(stream: string, number: number, facts: readonly FileFacts[]): Promise<JournalFile[]> {
    const { journal } = this.#parts;
    const lows = facts.filter(({ rows }) => rows > 0).map(({ low }) => low);
    if (lows.length === 0) return [];
    const [low = ''] = lows.sort();
    const state = journal.streamOf(stream);
    if (state.highest !== '' && low <= state.highest) throw forgotten(stream, low, state.highest);
    const earlier = [...state.recent.values()].filter((file) => file.entry < number);
    for (const file of earlier) if (file.facts === null) await journal.facts(file.entry);
    return earlier.filter((file) => file.facts === null || (file.facts.rows > 0 && file.facts.high >= low)).map(plain);
  }

  async *#reload(entry: Extract<Entry, { readonly kind: 'reload' }>, number: number): AsyncGenerator<ChangeGroup, void, undefined> {
    const { storage, context, settings, readings } = this.#parts;
    await using fetched = new FetchedFiles(storage, context);
    const table = readings.get(entry.table) as TableReading;
    const load: StampedFile[] = await fetched.all(entry.files, 'load');
    yield reloadGroup({
      name: entry.table,
      table,
      load,
      startedAt: entry.startedAt,
      rows: entry.rows,
      lobKilobytes: settings.lobKilobytes(entry.table),
      entry: number,
      context,
    });
  }

  /** Puts what stands there and is new into the journal. One look at a time. */
  async #scan(): Promise<void> {
    await this.#inTurn(async () => {
      const { journal, storage, settings, context, readings } = this.#parts;
      const places = Object.fromEntries([...readings].map(([name, { place }]) => [name, place]));
      const { reading, settleMs, transactionWaitMs } = settings;
      const edges = (file: JournalFile): Promise<Edges | null> => this.#edgesOf(file);
      const of = { storage, journal, reading, places, settleMs, transactionWaitMs, edges, now: () => context.now() };
      let found = await findFiles(of, this.#isWhole);
      let waiting: readonly string[] = [];
      const isDue = performance.now() - this.#counted > statusEvery;
      if (found.reloaded || this.#isWhole || isDue) {
        const before = journal.next;
        waiting = await this.#reloads();
        // What was written before a load is known by the load.
        if (journal.next !== before) found = await findFiles(of, this.#isWhole);
      }
      if (found.changes.size > 0 || this.#isWhole || isDue) await this.#checkShapes(waiting);
      this.#isWhole = false;
      for (const [stream, portions] of found.changes) {
        // Changes of a table come after the load that they follow.
        if (waiting.includes(stream) || (stream === transactionStream && waiting.length > 0)) continue;
        for (const files of portions) {
          if (stream === transactionStream) this.#noteCommits(files);
          if (!(await journal.append({ kind: 'changes', stream, files }))) return;
          passing('dms.entry.appended');
        }
      }
    });
  }

  /** @throws RESYNC_REQUIRED for a table that is another one than DMS has loaded */
  async #checkShapes(waiting: readonly string[]): Promise<void> {
    const { journal, context, readings, shapes, settings } = this.#parts;
    const now = await shapes?.(context);
    if (!now) return;
    for (const [name, { place }] of readings) {
      if (waiting.includes(name)) continue;
      const problem = shapeProblem(name, place, journal.shapeOf(name), now[name]);
      if (!problem) continue;
      if (settings.rewritten === 'stop' || problem.facts['kind'] === 'columns') throw problem;
      const seen = `${name} ${now[name]?.file}`;
      if (!this.#warned.has(seen)) context.log.warn(problem.message);
      this.#warned.add(seen);
    }
  }

  async #edgesOf(file: JournalFile): Promise<Edges | null> {
    const { storage, context, settings } = this.#parts;
    const known = this.#edges.get(identityOf(file));
    if (known !== undefined) return known;
    await using fetched = new FetchedFiles(storage, context);
    const [{ local }] = (await fetched.all([file], 'transactions')) as [StampedFile];
    const edges = await edgesOf({ ...local, format: 'csv' }, settings.reading.csv, context.signal);
    this.#edges.set(identityOf(file), edges);
    return edges;
  }

  #noteCommits(files: readonly JournalFile[]): void {
    const all = files.map((file) => this.#edges.get(identityOf(file)) ?? null).filter((edges) => edges !== null);
    const [first, last] = [all[0], all.at(-1)];
    if (first && first.first === this.#lastCommit)
      this.#parts.context.log.warn(
        `a transaction (${first.first}) goes on in ${files[0]?.key}, which came more than transactionWait after the file before: it is applied in two`,
      );
    if (last) this.#lastCommit = last.last;
    for (const file of files) this.#edges.delete(identityOf(file));
  }

  /** Tables that somebody has had DMS load again. Answers those which it is not done with. */
  async #reloads(): Promise<string[]> {
    const { journal, storage, settings, context, readings, control } = this.#parts;
    this.#counted = performance.now();
    const waiting: string[] = [];
    const statistics = await control.tables(context);
    for (const [name, { place }] of readings) {
      const known = journal.loads.get(name);
      const table = statisticsOf(statistics, place);
      if (!known || !table?.startedAt || Date.parse(table.startedAt) <= Date.parse(known.startedAt)) continue;
      if (!isLoaded(table, control.label)) {
        waiting.push(name);
        continue;
      }
      const from = { storage, control, reading: settings.reading, context, everyMs: settings.lookMs };
      const shape = (await this.#parts.shapes?.(context))?.[name];
      const load = await loadFilesOf(from, place, table.startedAt);
      context.log.info(`${control.label} has loaded "${name}" again`);
      await journal.append({ kind: 'reload', table: name, ...load, ...(shape && { shape }) });
    }
    return waiting;
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#scanning.then(work, work);
    this.#scanning = turn.catch(() => {});
    return turn;
  }
}

const plain = ({ key, etag, size, modified, stamp }: RecentFile): JournalFile => ({ key, etag, size, modified, stamp });

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

import type { StampedFile } from './convert.ts';
import { passing } from './failpoints.ts';
import { identityOf, type JournalFile, type LoadedTable } from './journal.ts';
import { isLoaded, loadFilesOf, statisticsOf } from './load-files.ts';
import { findFiles, transactionStream } from './scan.ts';
import { placeIn, type SourceParts, statusEvery } from './source-parts.ts';
import { shapeProblem } from './source-shape.ts';
import { FetchedFiles } from './table-source.ts';
import { type Edges, edgesOf } from './transaction-files.ts';

/** What stands at the bucket and is new becomes an entry of the journal. One look at a time. */
export class Discovery {
  readonly #parts: SourceParts;
  #turn: Promise<unknown> = Promise.resolve();
  /** Nothing has been looked at yet. */
  #isFirst = true;
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

  /** Looks once. */
  look(): Promise<void> {
    return this.#inTurn(async () => {
      const { journal } = this.#parts;
      let found = await this.#find();
      let waiting: readonly string[] = [];
      const isDue = performance.now() - this.#counted > statusEvery;
      if (found.reloaded || this.#isFirst || isDue) {
        const before = journal.next;
        waiting = await this.#reloads();
        // What was written before a load is known by the load.
        if (journal.next !== before) found = await this.#find();
      }
      if (found.changes.size > 0 || this.#isFirst || isDue) await this.#checkShapes(waiting);
      this.#isFirst = false;
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

  /** Appends an entry that says nothing of files. */
  mark(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#parts.journal.append({ kind: 'mark' });
    });
  }

  /** The full load of a table, waited for where it is still under way. */
  async load(name: string): Promise<LoadedTable> {
    const { journal, storage, control, context, settings } = this.#parts;
    if (!journal.loads.has(name)) {
      const from = { storage, control, reading: settings.reading, context, everyMs: settings.lookMs };
      const load = await loadFilesOf(from, placeIn(this.#parts, name), journal.begin?.startedAt ?? new Date(0).toISOString());
      await this.#inTurn(async () => {
        while (!journal.loads.has(name)) await journal.append({ kind: 'loaded', table: name, ...load });
      });
    }
    return journal.loads.get(name) as LoadedTable;
  }

  /** When the look that is under way has ended, however. */
  async ended(): Promise<void> {
    await this.#turn;
  }

  #find(): ReturnType<typeof findFiles> {
    const { journal, storage, settings, context, readings } = this.#parts;
    const { reading, settleMs, transactionWaitMs } = settings;
    const places = Object.fromEntries([...readings].map(([name, { place }]) => [name, place]));
    const edges = (file: JournalFile): Promise<Edges | null> => this.#edgesOf(file);
    return findFiles({ storage, journal, reading, places, settleMs, transactionWaitMs, edges, now: () => context.now() }, this.#isFirst);
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
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

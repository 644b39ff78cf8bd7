import { randomUUID } from 'node:crypto';
import { MillraceError } from '@millrace/core/runtime';
import type { Storage } from '../s3/storage.ts';
import type { FileFacts } from './convert.ts';
import type { Shape, Shapes } from './source-shape.ts';

/*
 * DMS leaves files, and says nothing of an order among them: they are listed late, delivered twice, written again. The journal gives them one.
 * An entry says which files come next; it is created where none of its number is, and never changed. So every attempt reads the same changes
 * at the same positions, and of two attempts at once only one can go on.
 *
 *   _millrace/dms/<stream>/0000000041.json           begin: a full load, and where the changes begin
 *   _millrace/dms/<stream>/0000000042.json           changes: these files of one table, or of the transactions
 *   _millrace/dms/<stream>/0000000042.facts.json     what they held when they were read, and which earlier files they were held against
 *   _millrace/dms/<stream>/0000000043.json           reload: DMS has loaded a table again
 *   _millrace/dms/<stream>/0000000044.json           mark: nothing, so that a quiet stream moves
 */
export type Entry = EntryHead &
  (
    | {
        readonly kind: 'begin';
        /** When DMS began the full load, by its own clock. */
        readonly startedAt: string;
        /** For each stream of files the last stamp of those that are older. */
        readonly horizons: Readonly<Record<string, string>>;
        /** How the tables of the source were before it. */
        readonly shapes?: Shapes;
      }
    | { readonly kind: 'changes'; readonly stream: string; readonly files: readonly JournalFile[] }
    | ({ readonly kind: 'loaded'; readonly table: string } & Load)
    | ({ readonly kind: 'reload'; readonly table: string } & Reloaded)
    | { readonly kind: 'mark' }
  );

export interface EntryHead {
  readonly version: 1;
  /** Of the attempt that wrote it. */
  readonly epoch: number;
  readonly nonce: string;
  /** From time to time: all that later entries need of those before it. */
  readonly state?: JournalState;
}

export interface JournalFile {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  readonly modified: string;
  /** Of changes. */
  readonly stamp: string;
}

export interface EntryFacts {
  readonly files: readonly FileFacts[];
  /** Files that they were held against, so that they are held against the same when they are read again. */
  readonly against: readonly JournalFile[];
}

/** Where the files of one table are, or those of the transactions. */
export interface StreamState {
  /** Files with this stamp or an earlier one are known, one and all. */
  horizon: string;
  /** The highest number of a change in them. */
  highest: string;
  /** When the horizon was set, by the clock of the store: whatever is modified after that and stamped before came too late. */
  horizonAt: string;
  readonly recent: Map<string, RecentFile>;
}

export interface RecentFile extends JournalFile {
  readonly entry: number;
  facts: FileFacts | null;
}

export interface JournalState {
  readonly begin: { readonly entry: number; readonly startedAt: string; readonly shapes: Shapes };
  readonly streams: Readonly<Record<string, Omit<StreamState, 'recent'> & { readonly recent: readonly RecentFile[] }>>;
  readonly loads: Readonly<Record<string, LoadedTable>>;
  /** True where the facts of all entries before are in it, so that those need not be kept. */
  readonly isComplete: boolean;
}

/** A full load of one table. */
export interface Load {
  readonly startedAt: string;
  /** As many as DMS has counted. */
  readonly rows: number;
  readonly files: readonly JournalFile[];
}

/** A table that was loaded again may be another one than it was at the beginning. */
export interface Reloaded extends Load {
  readonly shape?: Shape;
}

export interface LoadedTable extends Reloaded {
  readonly entry: number;
}

type Body<One> = One extends EntryHead ? Omit<One, keyof EntryHead> : never;
export type EntryBody = Body<Entry>;

/** Every so many entries have the state with them. */
const stateEvery = 64;

export class Journal {
  readonly #storage: Storage;
  readonly #folder: string;
  readonly #epoch: number;
  readonly #lookBackMs: number;
  readonly #entries = new Map<number, Entry>();
  readonly streams = new Map<string, StreamState>();
  readonly loads = new Map<string, LoadedTable>();
  begin: JournalState['begin'] | null = null;
  /** The first entry that is still there. */
  #first = 0;
  #next = 0;
  #stateAt = -1;
  #isStateComplete = false;

  private constructor(storage: Storage, folder: string, epoch: number, lookBackMs: number) {
    this.#storage = storage;
    this.#folder = folder;
    this.#epoch = epoch;
    this.#lookBackMs = lookBackMs;
  }

  static async open(storage: Storage, stream: string, epoch: number, lookBackMs: number): Promise<Journal> {
    const journal = new Journal(storage, `_millrace/dms/${stream}/`, epoch, lookBackMs);
    await journal.refresh();
    return journal;
  }

  get first(): number {
    return this.#first;
  }

  get next(): number {
    return this.#next;
  }

  /** Takes in what others have written. */
  async refresh(): Promise<void> {
    const numbers: number[] = [];
    for await (const { key } of this.#storage.list(this.#folder)) {
      const number = /\/(\d{10})\.json$/.exec(key)?.[1];
      if (number !== undefined) numbers.push(Number(number));
    }
    const [first] = numbers;
    if (first === undefined) return;
    this.#first = first;
    let from = numbers.findIndex((number) => number >= this.#next);
    if (from < 0) return;
    if (this.#next === 0 && (first > 0 || numbers.length > stateEvery)) from = await this.#restore(numbers);
    for (const number of numbers.slice(from)) {
      if (number !== this.#next) throw broken(this.#storage.url + this.#folder, this.#next);
      this.#take(number, (await this.#read(number)) as Entry);
    }
  }

  /** Of an older attempt that wakes up late nothing is written. @throws ATTEMPT_FENCED where a later attempt writes; answers false where an earlier one did */
  async append(body: EntryBody): Promise<boolean> {
    const number = this.#next;
    const withState = number - this.#stateAt >= stateEvery && this.begin !== null;
    const state = withState ? this.#state() : null;
    const entry = { version: 1, epoch: this.#epoch, nonce: randomUUID(), ...(state && { state }), ...body } as Entry;
    const created = await this.#storage.create(this.#keyOf(number), JSON.stringify(entry));
    const there = created ? entry : await this.#read(number);
    if (there && there.epoch > this.#epoch) throw fenced(number, there.epoch);
    this.#take(number, there ?? entry);
    return there === null || there.nonce === entry.nonce;
  }

  async entry(number: number): Promise<Entry> {
    const known = this.#entries.get(number) ?? (await this.#read(number));
    if (known) return known;
    throw broken(this.#storage.url + this.#folder, number);
  }

  async facts(number: number): Promise<EntryFacts | null> {
    const body = await this.#storage.read(this.#keyOf(number, '.facts'));
    const facts = body && (JSON.parse(body.toString('utf8')) as EntryFacts);
    if (facts) await this.#learn(number, facts);
    return facts;
  }

  /** Before anything of the entry is handed on. */
  async keepFacts(number: number, facts: EntryFacts): Promise<void> {
    await this.#storage.write(this.#keyOf(number, '.facts'), JSON.stringify(facts));
    await this.#learn(number, facts);
  }

  /** Nobody reads entries before this one again. */
  async prune(before: number): Promise<void> {
    if (!this.#isStateComplete) return;
    const end = Math.min(before, this.#stateAt);
    const keys: string[] = [];
    for (let number = this.#first; number < end; number++) keys.push(this.#keyOf(number), this.#keyOf(number, '.facts'));
    if (keys.length === 0) return;
    await this.#storage.delete(keys);
    for (let number = this.#first; number < end; number++) this.#entries.delete(number);
    this.#first = end;
  }

  /** How a table of the source was when it was loaded last. */
  shapeOf(table: string): Shape | undefined {
    return this.loads.get(table)?.shape ?? this.begin?.shapes[table];
  }

  streamOf(stream: string): StreamState {
    let state = this.streams.get(stream);
    if (!state) {
      state = { horizon: '', highest: '', horizonAt: '', recent: new Map() };
      this.streams.set(stream, state);
    }
    return state;
  }

  async #restore(numbers: readonly number[]): Promise<number> {
    for (let at = numbers.length - 1; at >= 0; at--) {
      const number = numbers[at] as number;
      const entry = (await this.#read(number)) as Entry;
      if (!entry.state) continue;
      this.begin = entry.state.begin;
      for (const [name, { recent, ...rest }] of Object.entries(entry.state.streams))
        this.streams.set(name, { ...rest, recent: new Map(recent.map((file) => [identityOf(file), { ...file }])) });
      for (const [name, load] of Object.entries(entry.state.loads)) this.loads.set(name, load);
      this.#next = number;
      this.#stateAt = number;
      this.#isStateComplete = entry.state.isComplete;
      return at;
    }
    if (numbers[0] === 0) return 0;
    throw broken(this.#storage.url + this.#folder, 0);
  }

  #take(number: number, entry: Entry): void {
    this.#entries.set(number, entry);
    this.#next = number + 1;
    if (entry.state) {
      this.#stateAt = number;
      this.#isStateComplete = entry.state.isComplete;
    }
    switch (entry.kind) {
      case 'begin':
        this.begin = { entry: number, startedAt: entry.startedAt, shapes: entry.shapes ?? {} };
        this.streams.clear();
        this.loads.clear();
        this.#stateAt = Math.max(this.#stateAt, number);
        this.#isStateComplete = false;
        for (const [name, horizon] of Object.entries(entry.horizons))
          this.streams.set(name, { horizon, highest: '', horizonAt: entry.startedAt, recent: new Map() });
        break;
      case 'changes': {
        const { recent } = this.streamOf(entry.stream);
        for (const file of entry.files) recent.set(identityOf(file), { ...file, entry: number, facts: null });
        break;
      }
      case 'loaded':
      case 'reload':
        this.loads.set(entry.table, {
          entry: number,
          startedAt: entry.startedAt,
          rows: entry.rows,
          files: entry.files,
          ...(entry.kind === 'reload' && entry.shape && { shape: entry.shape }),
        });
        break;
      case 'mark':
        break;
      default:
        entry satisfies never;
    }
  }

  async #learn(number: number, facts: EntryFacts): Promise<void> {
    const entry = await this.entry(number);
    if (entry.kind !== 'changes') return;
    const { recent } = this.streamOf(entry.stream);
    for (const [at, file] of entry.files.entries()) {
      const known = recent.get(identityOf(file));
      if (known) known.facts = facts.files[at] ?? null;
    }
  }

  #state(): JournalState {
    let isComplete = true;
    const streams = [...this.streams].map(([name, state]) => {
      moveHorizon(state, this.#lookBackMs);
      const recent = [...state.recent.values()];
      if (recent.some(({ facts }) => facts === null)) isComplete = false;
      return [name, { horizon: state.horizon, highest: state.highest, horizonAt: state.horizonAt, recent }] as const;
    });
    return {
      begin: this.begin as NonNullable<Journal['begin']>,
      streams: Object.fromEntries(streams),
      loads: Object.fromEntries(this.loads),
      isComplete,
    };
  }

  async #read(number: number): Promise<Entry | null> {
    const body = await this.#storage.read(this.#keyOf(number));
    return body && (JSON.parse(body.toString('utf8')) as Entry);
  }

  #keyOf(number: number, what = ''): string {
    return `${this.#folder}${String(number).padStart(10, '0')}${what}.json`;
  }
}

/** A file that is written again under its name is another one. */
export const identityOf = ({ key, etag }: { readonly key: string; readonly etag: string }): string => `${key}\n${etag}`;

/** Files that are older than the window, by the clock of the store, are no longer kept apart; not past one that has not been read. */
function moveHorizon(state: StreamState, lookBackMs: number): void {
  const files = [...state.recent.values()].sort((a, b) => (a.stamp < b.stamp ? -1 : 1));
  const newest = Math.max(...files.map(({ modified }) => Date.parse(modified)));
  for (const file of files) {
    if (file.facts === null || newest - Date.parse(file.modified) <= lookBackMs) return;
    if (file.stamp > state.horizon) state.horizon = file.stamp;
    if (file.facts.high > state.highest) state.highest = file.facts.high;
    state.horizonAt = new Date(newest).toISOString();
    state.recent.delete(identityOf(file));
  }
}

const broken = (folder: string, number: number): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message: `Entry ${number} of the journal ${folder} is not there: somebody has removed it.`,
    remedy: 'Keep _millrace/ out of lifecycle rules. Run "millrace resync" to load the tables again.',
    facts: { folder, number },
  });

const fenced = (number: number, epoch: number): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `A later attempt (epoch ${epoch}) has written entry ${number} of the journal.`,
    remedy: 'Nothing to do: that attempt goes on.',
  });

import { int4, int8, numeric, table, text } from '../schema/index.ts';
import { MemoryDatabase, type MemoryRow, type Statement } from './memory-database.ts';

/** Tables for streams: a key of one column and one of two, a long text that is not sent when it stays as it was, and one whose old rows are known. */
export const workloadTables = {
  orders: table(
    'public.orders',
    { id: int8(), note: text().orNull(), body: text().orNull(), amount: numeric(12, 2).orNull() },
    { key: ['id'] },
  ),
  pairs: table('public.pairs', { a: int4(), b: text(), n: int4().orNull() }, { key: ['a', 'b'] }),
  events: table('public.events', { id: int4(), what: text().orNull(), body: text().orNull() }, { key: ['id'] }),
} as const;

export const workloadDatabase = (name?: string): MemoryDatabase =>
  new MemoryDatabase(workloadTables, { orders: { toasted: ['body'] }, events: { toasted: ['body'], identity: 'full' } }, name);

/** Numbers that decide what happens: from a test's generator, which can make them fewer and smaller, or from a seed. */
export class Choices {
  readonly #tape: Iterator<number>;
  #isOver = false;

  constructor(tape: Iterable<number>) {
    this.#tape = tape[Symbol.iterator]();
  }

  /** From 0 to below `bound`; 0 after the last number. */
  below(bound: number): number {
    const next = this.#isOver ? { done: true, value: 0 } : this.#tape.next();
    if (next.done) this.#isOver = true;
    return next.done ? 0 : Math.abs(Math.trunc(next.value)) % bound;
  }

  one<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  get isOver(): boolean {
    return this.#isOver;
  }
}

/** Marsaglia's xorshift, 32 bits: as many numbers as are asked for, the same for the same seed. */
export function* seeded(seed: number): Generator<number, never, undefined> {
  let state = (seed * 2654435761 + 1) | 0 || 1;
  for (;;) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state >>> 1;
  }
}

export interface WorkloadOptions {
  /** Statements of a transaction at most; 6 by default. */
  readonly statements?: number;
  readonly truncates?: boolean;
  /** False where a column of a key is never an empty text. */
  readonly emptyKeys?: boolean;
  readonly tables?: readonly (keyof typeof workloadTables)[];
}

/** One transaction over the tables of a workload, perhaps an empty one; answers what it did. */
export function workTransaction(
  database: MemoryDatabase,
  choices: Choices,
  { statements = 6, truncates = true, emptyKeys = true, tables = ['orders', 'pairs', 'events'] }: WorkloadOptions = {},
): Statement[] {
  const done: Statement[] = [];
  database.transaction((doNext) => {
    const run = (statement: Statement): void => {
      doNext(statement);
      done.push(statement);
    };
    for (let left = choices.below(statements + 1); left > 0; left--) {
      const name = choices.one(tables);
      if (truncates && choices.below(40) === 39) {
        run({ do: 'truncate', tables: choices.below(2) === 0 ? [name] : [...tables] });
        continue;
      }
      for (const statement of statementsOn(name, database.rows(name), choices, emptyKeys)) run(statement);
    }
  });
  return done;
}

function statementsOn(name: keyof typeof workloadTables, there: readonly MemoryRow[], choices: Choices, emptyKeys: boolean): Statement[] {
  const what = choices.below(10);
  const key = (row: MemoryRow): MemoryRow => Object.fromEntries((workloadTables[name].key ?? []).map((column) => [column, row[column]]));
  const isThere = (wanted: MemoryRow): boolean =>
    there.some((row) => Object.entries(wanted).every(([column, value]) => row[column] === value));
  if (what < 4 || there.length === 0) {
    const row = newRow(name, choices, emptyKeys);
    return isThere(key(row))
      ? [{ do: 'update', table: name, key: key(row), set: someOf(name, row, choices) }]
      : [{ do: 'insert', table: name, row }];
  }
  const row = choices.one(there);
  if (what < 7) return [{ do: 'update', table: name, key: key(row), set: someOf(name, newRow(name, choices, emptyKeys), choices) }];
  if (what === 7) {
    const next = newRow(name, choices, emptyKeys);
    // To a key that is free, and sometimes two rows take each other's.
    if (!isThere(key(next))) return [{ do: 'update', table: name, key: key(row), set: key(next) }];
    if (name !== 'events' || there.length < 2) return [];
    const aside = { id: 1_000 };
    return [
      { do: 'update', table: name, key: key(row), set: aside },
      ...(next['id'] === row['id'] ? [] : [{ do: 'update', table: name, key: key(next), set: key(row) } as const]),
      { do: 'update', table: name, key: aside, set: next['id'] === row['id'] ? key(row) : key(next) },
    ];
  }
  if (what === 8) return [{ do: 'delete', table: name, key: key(row) }];
  return [
    { do: 'delete', table: name, key: key(row) },
    { do: 'insert', table: name, row: { ...newRow(name, choices, emptyKeys), ...key(row) } },
  ];
}

function newRow(name: keyof typeof workloadTables, choices: Choices, emptyKeys: boolean): MemoryRow {
  const body = (): string | null => choices.one([null, '', 'long '.repeat(3 + choices.below(3))]);
  const note = (): string | null => choices.one([null, '', 'a', "it's", 'tab\tand\nline', '\\N', 'ü€😀']);
  switch (name) {
    case 'orders':
      return { id: BigInt(1 + choices.below(12)), note: note(), body: body(), amount: choices.one([null, '0.00', '12.50', '-3.75']) };
    case 'pairs':
      return { a: choices.below(4), b: choices.one([emptyKeys ? '' : 'w', 'x', 'y z']), n: choices.one([null, 0, 7, -1]) };
    case 'events':
      return { id: 1 + choices.below(8), what: note(), body: body() };
    default:
      return name satisfies never;
  }
}

/** What an update sets: a column or two that are not of the key. */
function someOf(name: keyof typeof workloadTables, row: MemoryRow, choices: Choices): MemoryRow {
  const free = Object.keys(row).filter((column) => !workloadTables[name].key?.includes(column as never));
  const column = choices.one(free);
  const other = choices.one(free);
  return { [column]: row[column], [other]: row[other] };
}

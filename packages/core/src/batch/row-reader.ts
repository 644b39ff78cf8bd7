import { inspect } from 'node:util';
import type { RowSchema } from '../schema/index.ts';
import type { ColumnBatch, Vector } from './column-batch.ts';
import { inColumn } from './mismatch.ts';
import { isUnchanged } from './vectors.ts';

export type Row = Readonly<Record<string, unknown>>;

/*
 * A value that an update left as it was and that the source did not send (see `unchangedVector`) is no property of its row: asking for it
 * throws, and a spread leaves it out, so that `{ ...row, total }` hands it on as it is.
 */

/** Rows that are decoded together: few enough to die young, many enough that a column's decoder stays hot. */
const chunkRows = 256;

/**
 * Rows of batches as objects, for the functions of a pipeline. A row may be kept, spread, changed and passed on like any
 * object; changing it changes nothing else.
 *
 * The first rows are proxies that decode a column when it is asked for, and count. A function that uses about half of the
 * columns or more (or spreads the row) gets plain objects from then on, all columns decoded; one that uses few of many keeps
 * proxies. So make one reader for each split and function, and open batch after batch with it.
 */
export class RowReader {
  readonly names: readonly string[];
  /** Place of a column by its name. */
  readonly places: ReadonlyMap<string, number>;
  readonly make: (columns: readonly (readonly unknown[])[], row: number) => Row;
  /** Rows handed out as proxies, and the values decoded for them: what decides between proxies and plain objects. */
  proxies = 0;
  decoded = 0;

  constructor(schema: RowSchema) {
    this.names = schema.columns.map(({ name }) => name);
    this.places = new Map(this.names.map((name, place) => [name, place]));
    this.make = rowMaker(this.names);
  }

  open(batch: ColumnBatch): BatchRows {
    return new BatchRows(this, batch);
  }

  /** A value costs about half of what a proxy and its trap cost, measured on 16 columns of text. */
  get eager(): boolean {
    return this.names.length < 4 || (this.proxies >= chunkRows && this.decoded * 2 + this.proxies * 2 >= this.proxies * this.names.length);
  }
}

/** The rows of one batch. Cheap in rising order; any order works. */
export class BatchRows {
  readonly batch: ColumnBatch;
  readonly #reader: RowReader;
  #chunk: Chunk | null = null;
  #proxy: Row | null = null;
  #trap: RowTrap | null = null;

  constructor(reader: RowReader, batch: ColumnBatch) {
    this.#reader = reader;
    this.batch = batch;
  }

  row(index: number): Row {
    const chunk = this.#chunkOf(index);
    const at = index - chunk.base;
    if (chunk.complete) return this.#reader.make(chunk.columns as unknown[][], at);
    this.#reader.proxies++;
    this.#trap = new RowTrap(chunk, at);
    this.#proxy = new Proxy(new RowTarget() as unknown as Row, this.#trap);
    return this.#proxy;
  }

  /** A value of the row last asked for, where it has been decoded; else undefined. Never what a function has made of the row since. */
  original(column: number, index: number): unknown {
    const chunk = this.#chunk!;
    return chunk.columns[column]?.[index - chunk.base];
  }

  /** True for the row last handed out, still a proxy, and unchanged. */
  isUntouched(row: unknown): boolean {
    return row === this.#proxy && row !== null && !this.#trap!.changed;
  }

  #chunkOf(index: number): Chunk {
    const chunk = this.#chunk;
    if (chunk !== null && index >= chunk.base && index < chunk.base + chunk.length) return chunk;
    const base = index - (index % chunkRows);
    this.#chunk = new Chunk(this.#reader, this.batch.vectors, base, Math.min(chunkRows, this.batch.rowCount - base));
    this.#proxy = null;
    if (this.#reader.eager) this.#chunk.decodeAll();
    return this.#chunk;
  }
}

class Chunk {
  readonly base: number;
  readonly length: number;
  /** Column by column; undefined where nobody has asked yet. */
  columns: (unknown[] | undefined)[];
  complete = false;
  readonly reader: RowReader;
  readonly #vectors: readonly Vector[];

  constructor(reader: RowReader, vectors: readonly Vector[], base: number, length: number) {
    this.reader = reader;
    this.#vectors = vectors;
    this.base = base;
    this.length = length;
    this.columns = new Array(vectors.length).fill(undefined);
  }

  value(column: number, at: number): unknown {
    const values = this.columns[column] ?? this.#begin(column);
    const known = values[at];
    if (known !== undefined) return known;
    const value = this.#decode(column, this.base + at);
    values[at] = value;
    this.reader.decoded++;
    return value;
  }

  /** True for a value that nobody knows. */
  lacks(column: number, at: number): boolean {
    return isUnchanged(this.#vectors[column]!, this.base + at);
  }

  #decode(column: number, row: number): unknown {
    try {
      return this.#vectors[column]!.get(row);
    } catch (error) {
      throw inColumn(this.reader.names[column]!, error);
    }
  }

  #begin(column: number): unknown[] {
    const values = new Array<unknown>(this.length).fill(undefined);
    this.columns[column] = values;
    return values;
  }

  /** A value that cannot be decoded is the business of the row it stands in: its chunk stays with proxies, which throw when asked. */
  decodeAll(): void {
    try {
      this.columns = this.#vectors.map((vector) => {
        const values = new Array<unknown>(this.length);
        for (let at = 0; at < this.length; at++) values[at] = vector.get(this.base + at);
        return values;
      });
      this.complete = true;
    } catch {
      this.complete = false;
    }
  }
}

/**
 * The traps of one row. It is empty at first and answers from its chunk; anything beyond reading single columns makes it a
 * plain object with all columns, and from then on it is only that.
 */
class RowTrap implements ProxyHandler<Row> {
  changed = false;
  #whole = false;
  readonly #chunk: Chunk;
  readonly #at: number;

  constructor(chunk: Chunk, at: number) {
    this.#chunk = chunk;
    this.#at = at;
  }

  get(target: Row, key: string | symbol): unknown {
    const column = typeof key === 'string' ? this.#chunk.reader.places.get(key) : undefined;
    if (this.#whole && (column === undefined || this.changed || !this.#chunk.lacks(column, this.#at))) return Reflect.get(target, key);
    return column === undefined ? Reflect.get(Object.prototype, key) : this.#chunk.value(column, this.#at);
  }

  has(target: Row, key: string | symbol): boolean {
    if (this.#whole) return Reflect.has(target, key);
    return (typeof key === 'string' && this.#chunk.reader.places.has(key)) || Reflect.has(Object.prototype, key);
  }

  getPrototypeOf(target: Row): object | null {
    return this.#whole ? Reflect.getPrototypeOf(target) : Object.prototype;
  }

  ownKeys(target: Row): (string | symbol)[] {
    this.#fill(target);
    return Reflect.ownKeys(target);
  }

  getOwnPropertyDescriptor(target: Row, key: string | symbol): PropertyDescriptor | undefined {
    this.#fill(target);
    return Reflect.getOwnPropertyDescriptor(target, key);
  }

  set(target: Row, key: string | symbol, value: unknown): boolean {
    this.#change(target);
    return Reflect.set(target, key, value);
  }

  defineProperty(target: Row, key: string | symbol, descriptor: PropertyDescriptor): boolean {
    this.#change(target);
    return Reflect.defineProperty(target, key, descriptor);
  }

  deleteProperty(target: Row, key: string | symbol): boolean {
    this.#change(target);
    return Reflect.deleteProperty(target, key);
  }

  setPrototypeOf(target: Row, prototype: object | null): boolean {
    this.#change(target);
    return Reflect.setPrototypeOf(target, prototype);
  }

  preventExtensions(target: Row): boolean {
    this.#fill(target);
    return Reflect.preventExtensions(target);
  }

  #change(target: Row): void {
    this.#fill(target);
    this.changed = true;
  }

  #fill(target: Row): void {
    if (this.#whole) return;
    for (const [place, name] of this.#chunk.reader.names.entries()) {
      if (this.#chunk.lacks(place, this.#at)) continue;
      const value = this.#chunk.value(place, this.#at);
      Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true });
    }
    Object.setPrototypeOf(target, Object.prototype);
    this.#whole = true;
  }
}

/** `console.log` looks past a proxy at its target, yet calls this on the proxy. */
class RowTarget {
  [inspect.custom](): object {
    return { ...this };
  }
}

/**
 * `(c, i) => ({ "id": c[0][i], "total": c[1][i] })`, so that all rows share one hidden class. Names go in as JSON, computed
 * where it is `__proto__`, which would otherwise set the prototype.
 */
function rowMaker(names: readonly string[]): RowReader['make'] {
  const properties = names.map((name, place) => `${name === '__proto__' ? '["__proto__"]' : JSON.stringify(name)}: c[${place}][i]`);
  return new Function('c', 'i', `return { ${properties.join(', ')} };`) as RowReader['make'];
}

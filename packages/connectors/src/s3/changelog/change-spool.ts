import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ColumnBatch, csvEncoder, type Position, type RowSchema } from '@millrace/core/runtime';
import { fileFailure } from '../file-failure.ts';

/** Rows of one table and one schema, as canonical CSV on this machine. */
export interface Segment {
  readonly table: string;
  readonly schema: RowSchema;
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  /** Of the first and the last commit in it. */
  readonly first: Position;
  readonly last: Position;
}

type Growing = { -readonly [Field in keyof Segment]: Segment[Field] };

/**
 * Where changes wait, on disk, until enough of them make a file. Memory holds one chunk of one batch: files are open only while a
 * batch is appended, so that a thousand tables need no thousand buffers.
 */
export class ChangeSpool implements AsyncDisposable {
  readonly #directory: string;
  readonly #growing = new Map<string, Growing>();
  #closed: Segment[] = [];
  #made = 0;
  #bytes = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Of all segments. */
  get bytes(): number {
    return this.#bytes;
  }

  async append(table: string, batch: ColumnBatch, first: Position, last: Position): Promise<void> {
    if (batch.rowCount === 0) return;
    const segment = this.#segment(table, batch.schema, first);
    const encode = csvEncoder(batch.schema);
    try {
      if (segment.rows === 0) await mkdir(this.#directory, { recursive: true });
      const file = await open(segment.path, 'a');
      try {
        for (const chunk of encode(batch)) {
          await file.appendFile(chunk);
          segment.bytes += chunk.length;
          this.#bytes += chunk.length;
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      throw fileFailure(error, this.#directory);
    }
    segment.rows += batch.rowCount;
    segment.last = last;
  }

  /** All that waits, in the order in which it began; the spool is empty then, and the files are the caller's. */
  take(): Segment[] {
    const taken = [...this.#closed, ...this.#growing.values()];
    this.#closed = [];
    this.#growing.clear();
    this.#bytes = 0;
    return taken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  #segment(table: string, schema: RowSchema, first: Position): Growing {
    const found = this.#growing.get(table);
    if (found && (found.schema === schema || signature(found.schema) === signature(schema))) return found;
    if (found) this.#closed.push(found);
    const path = join(this.#directory, `segment-${++this.#made}.csv`);
    const segment: Growing = { table, schema, path, rows: 0, bytes: 0, first, last: first };
    this.#growing.set(table, segment);
    return segment;
  }
}

const signatures = new WeakMap<RowSchema, string>();

/** Equal where rows of both can stand in one file. */
export function signature(schema: RowSchema): string {
  let text = signatures.get(schema);
  if (text === undefined) {
    text = JSON.stringify(schema.columns.map(({ name, type }) => [name, type]));
    signatures.set(schema, text);
  }
  return text;
}

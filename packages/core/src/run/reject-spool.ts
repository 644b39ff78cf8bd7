import { appendFileSync, createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { OnBadRow, RejectedRecord } from '../author/index.ts';
import { batchLimits, batchOfRows, type ColumnBatch } from '../batch/index.ts';
import type { RejectedRow } from '../connector/index.ts';
import { isMillraceError, MillraceError } from '../error/index.ts';
import type { RowSchema } from '../schema/index.ts';
import { atStep } from './failure.ts';

/** The columns of a quarantine, in order. */
export const rejectedSchema: RowSchema = {
  columns: [
    { name: 'load_id', type: { kind: 'text' }, nullable: false },
    { name: 'pipeline', type: { kind: 'text' }, nullable: false },
    { name: 'step', type: { kind: 'text' }, nullable: false },
    { name: 'split', type: { kind: 'text' }, nullable: false },
    { name: 'ordinal', type: { kind: 'int8' }, nullable: false },
    { name: 'code', type: { kind: 'text' }, nullable: false },
    { name: 'reason', type: { kind: 'text' }, nullable: false },
    { name: 'row', type: { kind: 'text' }, nullable: false },
    { name: 'rejected_at', type: { kind: 'timestamptz' }, nullable: false },
  ],
};

export interface RejectSpoolOptions {
  readonly step: string;
  readonly rule: OnBadRow;
  readonly pipeline: string;
  /** A directory of this attempt alone. */
  readonly directory: string;
  readonly now: () => Date;
}

/** Characters held in memory before they go to the file. */
const flushAt = 256 * 1024;

/** The rejected rows of one step, on disk until they are committed: there may be many. */
export class RejectSpool {
  readonly step: string;
  readonly rule: OnBadRow;
  /** Rows that have come to the step, for the rate. */
  seen = 0;
  count = 0;
  readonly #options: RejectSpoolOptions;
  readonly #file: string;
  #held = '';

  constructor(options: RejectSpoolOptions) {
    this.step = options.step;
    this.rule = options.rule;
    this.#options = options;
    this.#file = join(options.directory, `${options.step}.rejected.jsonl`);
  }

  /** Sets a row aside. @throws the row's error where the step has `onBadRow: 'fail'`, TOO_MANY_BAD_ROWS past `max` */
  readonly reject = (rejected: RejectedRow): void => {
    const { split, ordinal, row, error } = rejected;
    if (this.rule === 'fail') throw atStep(error, this.step, { split, ordinal, row });
    const record = {
      split,
      ordinal,
      code: isMillraceError(error) ? error.code : 'FUNCTION_FAILED',
      reason: error.message,
      row,
      rejected_at: canonicalTime(this.#options.now()),
    };
    this.#held += `${oneLine(record)}\n`;
    if (this.#held.length >= flushAt) this.#flush();
    this.count++;
    const { max } = this.rule;
    if (max !== undefined && this.count > max) throw tooMany(this.step, this.count, `more than the ${max} allowed`);
  };

  /** @throws TOO_MANY_BAD_ROWS where the share of rejected rows is past `maxRate` */
  checkRate(): void {
    if (this.rule === 'fail' || this.rule.maxRate === undefined || this.count === 0) return;
    const rate = this.count / Math.max(this.seen, this.count);
    if (rate > this.rule.maxRate)
      throw tooMany(this.step, this.count, `of ${this.seen}, a share of ${share(rate)} where ${share(this.rule.maxRate)} is allowed`);
  }

  /** All rows set aside so far. */
  async *batches(loadId: string): AsyncGenerator<ColumnBatch, void, undefined> {
    this.#flush();
    if (this.count === 0) return;
    const input = createReadStream(this.#file, 'utf8');
    let rows: RejectedRecord[] = [];
    let size = 0;
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      const record = JSON.parse(line) as Omit<RejectedRecord, 'load_id' | 'pipeline' | 'step' | 'ordinal'> & { ordinal: number };
      rows.push({ ...record, load_id: loadId, pipeline: this.#options.pipeline, step: this.step, ordinal: BigInt(record.ordinal) });
      size += line.length;
      if (rows.length < batchLimits.rows && size < batchLimits.bytes) continue;
      yield batchOfRows(rejectedSchema, rows as unknown as Record<string, unknown>[]);
      rows = [];
      size = 0;
    }
    if (rows.length > 0) yield batchOfRows(rejectedSchema, rows as unknown as Record<string, unknown>[]);
  }

  #flush(): void {
    if (this.#held === '') return;
    try {
      appendFileSync(this.#file, this.#held, { mode: 0o600 });
    } catch (error) {
      throw spoolFull(this.step, error);
    }
    this.#held = '';
  }
}

/** Node 24 takes U+2028 and U+2029 for ends of lines as well. */
const oneLine = (record: unknown): string =>
  JSON.stringify(record).replace(/[\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16)}`);

function tooMany(step: string, count: number, why: string): MillraceError {
  return new MillraceError('TOO_MANY_BAD_ROWS', {
    message: `Step "${step}" has rejected ${count} rows, ${why}. Nothing was loaded.`,
    remedy: 'Look at them in the quarantine; then mend the source or the function, or raise max or maxRate.',
    facts: { step, count },
  });
}

function spoolFull(step: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new MillraceError('DISK_FULL', {
    message: `No space is left for the rows that step "${step}" sets aside until they go into the quarantine.`,
    remedy: 'Free space for temporary files, or lower "max" of onBadRow, so that a load with so many bad rows stops earlier.',
    facts: { step, reason: code },
    cause: error,
  });
}

const share = (rate: number): string => `${Number((rate * 100).toPrecision(3))}%`;

/** As rows carry times: six decimals and Z. */
const canonicalTime = (at: Date): string => `${at.toISOString().slice(0, -1)}000Z`;

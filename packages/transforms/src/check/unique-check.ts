import { hash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { baseType, type CheckResult, type ColumnType, intervalMicros, type RowSchema, textCodec } from '@millrace/core/runtime';
import { counted, type MakeResult, type RunningCheck, type SeeBatch, sampleSize } from './running-check.ts';

/*
 * Uniqueness of any number of rows in a few megabytes. Each key becomes the first 128 bits of its SHA-256 (two different keys
 * agree in them with a chance of 10^-20 among a billion rows) and goes with its row's place into one of 256 buckets, by its
 * first byte; a full bucket goes to its file. At the end bucket after bucket is looked through alone.
 */

const buckets = 256;
/** Hash, number of the split, place in the split. */
const recordBytes = 16 + 4 + 4;
const recordsHeld = 1024;

export interface UniqueOptions {
  readonly input: RowSchema;
  readonly places: readonly number[];
  readonly directory: string;
  /** Of the files, in this attempt. */
  readonly name: string;
  readonly result: MakeResult;
}

export class UniqueCheck implements RunningCheck {
  readonly #options: UniqueOptions;
  readonly #prints: readonly ((value: unknown) => string)[];
  readonly #held: Buffer[] = [];
  readonly #fill = new Int32Array(buckets);
  /** Number of a split's latest beginning: what an earlier one has left in the buckets is not counted. */
  readonly #splits: string[] = [];
  readonly #latest = new Map<string, number>();

  constructor(options: UniqueOptions) {
    this.#options = options;
    this.#prints = options.places.map((place) => keyText(options.input.columns[place]!.type));
  }

  split(split: string): SeeBatch {
    const number = this.#splits.push(split) - 1;
    this.#latest.set(split, number);
    const { places } = this.#options;
    return (batch, ordinal) => {
      const vectors = places.map((place) => batch.vectors[place]!);
      for (let row = 0; row < batch.rowCount; row++) {
        let key = '';
        let isNull = false;
        for (const [at, vector] of vectors.entries()) {
          const value = vector.get(row);
          if (value === null) {
            isNull = true;
            break;
          }
          const text = this.#prints[at]!(value);
          key += vectors.length === 1 ? text : `${text.length}:${text}`;
        }
        if (!isNull) this.#add(key, number, ordinal + row);
      }
    };
  }

  async finish(): Promise<CheckResult> {
    let keys = 0;
    let copies = 0;
    const sample: string[] = [];
    for (let bucket = 0; bucket < buckets; bucket++) {
      const records = this.#records(bucket);
      const found = repeated(records);
      keys += records.length / recordBytes;
      copies += found.copies;
      for (const at of found.places.slice(0, sampleSize - sample.length)) {
        sample.push(`row ${records.readUInt32LE(at + 20)} of split ${this.#splits[records.readUInt32LE(at + 16)]}`);
      }
      // A bucket may take a while: let messages through between two.
      await breathe();
    }
    return this.#options.result(copies === 0, `${copies.toLocaleString('en')} of ${counted(keys, 'keys')} repeat an earlier one`, sample);
  }

  #add(key: string, split: number, ordinal: number): void {
    const digest = hash('sha256', key, 'buffer');
    const bucket = digest[0]!;
    const held = this.#held[bucket] ?? Buffer.allocUnsafeSlow(recordBytes * recordsHeld);
    this.#held[bucket] = held;
    let at = this.#fill[bucket]!;
    digest.copy(held, at, 0, 16);
    at = held.writeUInt32LE(split, at + 16);
    at = held.writeUInt32LE(Math.min(ordinal, 0xffff_ffff), at);
    if (at === held.length) {
      appendFileSync(this.#file(bucket), held, { mode: 0o600 });
      at = 0;
    }
    this.#fill[bucket] = at;
  }

  /** All that came into a bucket from splits that count. */
  #records(bucket: number): Buffer {
    const file = this.#file(bucket);
    const parts: Uint8Array[] = existsSync(file) ? [readFileSync(file)] : [];
    const held = this.#held[bucket];
    if (held) parts.push(held.subarray(0, this.#fill[bucket]));
    const all = Buffer.concat(parts);
    if (this.#latest.size === this.#splits.length) return all;
    let kept = 0;
    for (let at = 0; at < all.length; at += recordBytes) {
      const number = all.readUInt32LE(at + 16);
      if (this.#latest.get(this.#splits[number]!) !== number) continue;
      all.copyWithin(kept, at, at + recordBytes);
      kept += recordBytes;
    }
    return all.subarray(0, kept);
  }

  #file(bucket: number): string {
    return join(this.#options.directory, `${this.#options.name}-${bucket.toString(16).padStart(2, '0')}`);
  }
}

/** Text that is the same for values that SQL holds equal: 1.0 and 1.00, 0 and -0, a month and thirty days. */
function keyText(type: ColumnType): (value: unknown) => string {
  const { print } = textCodec(type);
  switch (baseType(type).kind) {
    case 'numeric':
      return (value) => (value as string).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
    case 'float4':
    case 'float8':
      return (value) => (value === 0 ? '0' : print(value));
    case 'char':
      return (value) => (value as string).replace(/ +$/, '');
    case 'interval':
      return (value) => String(intervalMicros(value as string));
    default:
      return print;
  }
}

/** How many records repeat a hash that stood before, and where they are. Half the hash is sorted; the whole of it decides. */
function repeated(records: Buffer): { copies: number; places: number[] } {
  const count = records.length / recordBytes;
  const halves = new BigUint64Array(count);
  for (let row = 0; row < count; row++) halves[row] = records.readBigUInt64LE(row * recordBytes);
  halves.sort();
  const twice = new Set<bigint>();
  for (let row = 1; row < count; row++) if (halves[row] === halves[row - 1]) twice.add(halves[row]!);
  if (twice.size === 0) return { copies: 0, places: [] };
  const seen = new Set<string>();
  const places: number[] = [];
  let copies = 0;
  for (let at = 0; at < records.length; at += recordBytes) {
    if (!twice.has(records.readBigUInt64LE(at))) continue;
    const whole = records.toString('latin1', at, at + 16);
    if (!seen.has(whole)) {
      seen.add(whole);
      continue;
    }
    copies++;
    if (places.length < sampleSize) places.push(at);
  }
  return { copies, places };
}

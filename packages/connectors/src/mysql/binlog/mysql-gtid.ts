import { corrupt } from './corrupt.ts';
import { Cursor } from './cursor.ts';
import { eventTypes, type LogEvent } from './event.ts';

/** A transaction of MySQL: the server that it began on, and its number there; in MySQL 8.3 and later perhaps a tag that it counts under. */
export interface MysqlGtid {
  /** 32 hex digits. */
  readonly server: string;
  /** Empty for none. */
  readonly tag: string;
  readonly number: number;
  /** When it was committed where it began, in microseconds from 1970; null where the log does not have it. */
  readonly committedAt: number | null;
}

/** `[first, last]`, rising and apart from one another. */
type Intervals = (readonly [first: number, last: number])[];

/**
 * A set of transactions of MySQL, as `@@gtid_executed` prints it: `3e11fa47-…:1-5:8,…`. Numbers are exact up to 2^53, which is what a server can come
 * to in a thousand years.
 */
export class GtidSet {
  /** By server, or server and tag: `3e11…` and `3e11…:tag`. */
  readonly #sources: Map<string, Intervals>;
  #size: number;

  private constructor(sources: Map<string, Intervals>) {
    this.#sources = sources;
    this.#size = [...sources.values()].flat().reduce((sum, [first, last]) => sum + last - first + 1, 0);
  }

  /** @throws WIRE_CORRUPT */
  static parse(text: string): GtidSet {
    const set = new GtidSet(new Map());
    for (const block of text.split(',')) {
      if (block.trim() === '') continue;
      const [uuid = '', ...rest] = block.trim().split(':');
      const server = uuid.replaceAll('-', '').toLowerCase();
      if (!/^[0-9a-f]{32}$/.test(server)) throw corrupt(`a GTID set that reads ${JSON.stringify(text.slice(0, 80))}`);
      let tag = '';
      for (const part of rest) {
        const [, first, last] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
        if (first === undefined) tag = tagOf(part.trim().toLowerCase());
        else set.#add(sourceOf(server, tag), Number(first), Number(last ?? first));
      }
    }
    return set;
  }

  /** How many transactions are in it: it rises by one with each that commits. */
  get size(): number {
    return this.#size;
  }

  get isTagged(): boolean {
    return [...this.#sources.keys()].some((source) => source.includes(':'));
  }

  copy(): GtidSet {
    return new GtidSet(new Map([...this.#sources].map(([source, intervals]) => [source, [...intervals]])));
  }

  has({ server, tag, number }: Pick<MysqlGtid, 'server' | 'tag' | 'number'>): boolean {
    return this.#sources.get(sourceOf(server, tag))?.some(([first, last]) => first <= number && number <= last) ?? false;
  }

  add({ server, tag, number }: Pick<MysqlGtid, 'server' | 'tag' | 'number'>): void {
    this.#add(sourceOf(server, tag), number, number);
  }

  /** Everything in `other` is in this one. */
  contains(other: GtidSet): boolean {
    for (const [source, intervals] of other.#sources) {
      const own = this.#sources.get(source) ?? [];
      if (!intervals.every(([first, last]) => own.some((one) => one[0] <= first && last <= one[1]))) return false;
    }
    return true;
  }

  /** Server by server, sorted. */
  entries(): { readonly server: string; readonly tag: string; readonly intervals: readonly (readonly [number, number])[] }[] {
    return [...this.#sources]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([source, intervals]) => ({ server: source.slice(0, 32), tag: source.slice(33), intervals }));
  }

  /** As MySQL reads and prints it. */
  toString(): string {
    const blocks: string[] = [];
    let last = '';
    for (const { server, tag, intervals } of this.entries()) {
      const ranges = intervals.map(([first, end]) => (first === end ? `${first}` : `${first}-${end}`)).join(':');
      if (server === last) blocks[blocks.length - 1] += `:${tag}:${ranges}`;
      else blocks.push(`${dashed(server)}:${tag === '' ? '' : `${tag}:`}${ranges}`);
      last = server;
    }
    return blocks.join(',');
  }

  /** As COM_BINLOG_DUMP_GTID takes it. With tags it has a form of its own, of MySQL 8.3. Source: sql/rpl_gtid_set.cc, encode. */
  encode(): Buffer {
    const entries = this.entries();
    const isTagged = this.isTagged;
    const u64 = (value: bigint): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(value);
      return bytes;
    };
    const count = BigInt(entries.length);
    return Buffer.concat([
      u64(isTagged ? (1n << 56n) | (count << 8n) | 1n : count),
      ...entries.flatMap(({ server, tag, intervals }) => [
        Buffer.from(server, 'hex'),
        ...(isTagged ? [Buffer.from([tag.length << 1]), Buffer.from(tag, 'latin1')] : []),
        u64(BigInt(intervals.length)),
        ...intervals.flatMap(([first, last]) => [u64(BigInt(first)), u64(BigInt(last + 1))]),
      ]),
    ]);
  }

  #add(source: string, first: number, last: number): void {
    if (!Number.isSafeInteger(last) || first < 1 || last < first) throw corrupt(`transactions ${first} to ${last}`);
    let intervals = this.#sources.get(source);
    if (!intervals) {
      intervals = [];
      this.#sources.set(source, intervals);
    }
    const end = intervals.at(-1);
    // The next one of its server, nearly always.
    if (end && first === last && first === end[1] + 1) {
      intervals[intervals.length - 1] = [end[0], last];
      this.#size++;
      return;
    }
    const before = intervals.reduce((sum, [from, to]) => sum + to - from + 1, 0);
    const merged: [number, number][] = [];
    for (const [from, to] of [...intervals, [first, last] as const].sort(([a], [b]) => a - b)) {
      const previous = merged.at(-1);
      if (previous && from <= previous[1] + 1) previous[1] = Math.max(previous[1], to);
      else merged.push([from, to]);
    }
    this.#sources.set(source, merged);
    this.#size += merged.reduce((sum, [from, to]) => sum + to - from + 1, 0) - before;
  }
}

const sourceOf = (server: string, tag: string): string => (tag === '' ? server : `${server}:${tag}`);

function tagOf(text: string): string {
  if (/^[a-z_][a-z0-9_]{0,31}$/.test(text)) return text;
  throw corrupt(`a GTID set with ${JSON.stringify(text.slice(0, 40))} in it`);
}

const dashed = (hex: string): string => `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;

/** What begins a transaction of MySQL; null where the server gives it no GTID. */
export function readMysqlGtid(event: LogEvent): MysqlGtid | { readonly server: null; readonly committedAt: number | null } {
  const cursor = new Cursor(event.bytes, event.start, event.end);
  if (event.type === eventTypes.taggedGtid) return readTagged(cursor);
  cursor.uint(1);
  const server = cursor.slice(16).toString('hex');
  const number = Number(cursor.uint64());
  const committedAt = commitTime(cursor);
  return event.type === eventTypes.anonymousGtid ? { server: null, committedAt } : { server, tag: '', number, committedAt };
}

/**
 * Clock type 1, two clocks of 8, and since 8.0.1 seven bytes of microseconds: when this server committed it. Their first bit says that those of the
 * server follow on which it began.
 */
function commitTime(cursor: Cursor): number | null {
  if (cursor.left < 1 + 16 + 7 || cursor.uint(1) !== 2) return null;
  cursor.take(16);
  const [low, high] = [cursor.uint(6), cursor.uint(1)];
  if ((high & 0x80) === 0) return low + high * 2 ** 48;
  return cursor.uint(6) + cursor.uint(1) * 2 ** 48;
}

/** Fields by number, each value in a form of its own. Source: libs/mysql/binlog/event/control_events.h, Gtid_event::define_fields. */
function readTagged(cursor: Cursor): MysqlGtid {
  const version = varint(cursor);
  if (version !== 1n) throw corrupt(`a GTID in version ${version}`);
  varint(cursor); // size
  varint(cursor); // the last field that must be known
  const found: { server?: string; tag: string; number?: number; committedAt: number | null } = { tag: '', committedAt: null };
  while (cursor.left > 0) {
    const field = Number(varint(cursor));
    if (field === 0) varint(cursor);
    else if (field === 1) found.server = Buffer.from(Array.from({ length: 16 }, () => Number(varint(cursor)))).toString('hex');
    else if (field === 2) found.number = Number(signed(varint(cursor)));
    else if (field === 3) found.tag = cursor.text(Number(varint(cursor)));
    else if (field === 4 || field === 5) varint(cursor);
    else if (field === 6) found.committedAt = Number(varint(cursor));
    else {
      if (field === 7) found.committedAt = Number(varint(cursor));
      break;
    }
  }
  const { server, tag, number, committedAt } = found;
  if (server === undefined || number === undefined) throw corrupt('a GTID without its server');
  return { server, tag, number, committedAt };
}

/** As many bytes as the first has ones at its end, and one more. */
function varint(cursor: Cursor): bigint {
  const first = cursor.uint(1);
  let more = 0;
  while (more < 8 && ((first >> more) & 1) === 1) more++;
  let rest = 0n;
  for (let place = 0; place < more; place++) rest |= BigInt(cursor.uint(1)) << BigInt(8 * place);
  return more === 8 ? rest : BigInt(first >> (more + 1)) | (rest << BigInt(7 - more));
}

const signed = (value: bigint): bigint => ((value & 1n) === 1n ? -(value >> 1n) - 1n : value >> 1n);

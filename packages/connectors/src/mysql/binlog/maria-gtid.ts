import { corrupt } from './corrupt.ts';
import { Cursor } from './cursor.ts';
import type { LogEvent } from './event.ts';

/** A transaction of MariaDB: `0-1-1234`. Numbers rise within a domain. */
export interface MariaGtid {
  readonly domain: number;
  readonly server: number;
  readonly sequence: number;
}

/** What begins a transaction or a statement that is one by itself. */
export interface MariaGroup extends MariaGtid {
  /** One statement, and nothing that ends it. */
  readonly isStandalone: boolean;
  /** It is the prepared part of an XA transaction, which commits or is taken back later. */
  readonly isPrepared: boolean;
  /** The beginning of an ALTER TABLE in two parts, or its being taken back: neither changes anything. */
  readonly isPartialAlter: boolean;
}

const flags = { standalone: 1, groupCommit: 2, preparedXa: 64, completedXa: 128 } as const;
const moreFlags = { multiEngine: 1, startAlter: 2, rollbackAlter: 8 } as const;

/** sequence 8 | domain 4 | flags 1 | group commit 8? | XID? | more flags. Source: sql/log_event.cc, Gtid_log_event. */
export function readMariaGtid(event: LogEvent): MariaGroup {
  const cursor = new Cursor(event.bytes, event.start, event.end);
  const sequence = Number(cursor.uint64());
  const domain = cursor.uint(4);
  const flag = cursor.uint(1);
  if ((flag & flags.groupCommit) !== 0) cursor.take(8);
  if ((flag & (flags.preparedXa | flags.completedXa)) !== 0) {
    cursor.take(4);
    const [global, branch] = [cursor.uint(1), cursor.uint(1)];
    cursor.take(global + branch);
  }
  const more = cursor.left > 0 ? cursor.uint(1) : 0;
  return {
    domain,
    server: event.serverId,
    sequence,
    isStandalone: (flag & flags.standalone) !== 0,
    isPrepared: (flag & flags.preparedXa) !== 0,
    isPartialAlter: (more & (moreFlags.startAlter | moreFlags.rollbackAlter)) !== 0,
  };
}

/** How far each domain has come, as `@@gtid_binlog_pos` prints it: `0-1-1234,5-2-17`. */
export class MariaPosition {
  readonly #domains: Map<number, MariaGtid>;

  private constructor(domains: Map<number, MariaGtid>) {
    this.#domains = domains;
  }

  /** @throws WIRE_CORRUPT */
  static parse(text: string): MariaPosition {
    const domains = new Map<number, MariaGtid>();
    for (const part of text.split(',')) {
      if (part.trim() === '') continue;
      const [, domain, server, sequence] = /^\s*(\d+)-(\d+)-(\d+)\s*$/.exec(part) ?? [];
      const gtid = { domain: Number(domain), server: Number(server), sequence: Number(sequence) };
      if (!Number.isSafeInteger(gtid.sequence)) throw corrupt(`a GTID that reads ${JSON.stringify(part.slice(0, 80))}`);
      domains.set(gtid.domain, gtid);
    }
    return new MariaPosition(domains);
  }

  /** The sum of the sequence numbers: it rises with each transaction, whatever its domain. */
  get sum(): bigint {
    let sum = 0n;
    for (const { sequence } of this.#domains.values()) sum += BigInt(sequence);
    return sum;
  }

  get domains(): number {
    return this.#domains.size;
  }

  copy(): MariaPosition {
    return new MariaPosition(new Map(this.#domains));
  }

  /** The last one of its domain, 0 where there is none. */
  sequenceOf(domain: number): number {
    return this.#domains.get(domain)?.sequence ?? 0;
  }

  has({ domain, sequence }: MariaGtid): boolean {
    return sequence <= this.sequenceOf(domain);
  }

  add(gtid: MariaGtid): void {
    this.#domains.set(gtid.domain, { domain: gtid.domain, server: gtid.server, sequence: gtid.sequence });
  }

  /** In no domain does `other` come further. */
  contains(other: MariaPosition): boolean {
    return [...other.#domains.values()].every((gtid) => this.has(gtid));
  }

  entries(): MariaGtid[] {
    return [...this.#domains.values()].sort((a, b) => a.domain - b.domain);
  }

  toString(): string {
    return this.entries()
      .map(({ domain, server, sequence }) => `${domain}-${server}-${sequence}`)
      .join(',');
  }
}

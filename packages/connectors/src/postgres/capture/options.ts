import { MillraceError } from '@millrace/core/runtime';

/** Options of a capture from Postgres, beside those that every capture has. */
export interface PostgresCaptureOptions {
  /**
   * A publication that somebody else keeps: it is only checked. Left out, Millrace makes one of its own, named as the slot is, and keeps it
   * in step with the declared tables; for that the user must own the tables.
   */
  readonly publication?: string;
  /**
   * Takes large transactions while they are still open (Postgres 14 and later), into files, so that they are here soon after their commit.
   * Off by default: the server then keeps them in files of its own and sends them once they are committed, which costs less in all.
   */
  readonly streaming?: boolean;
  /** How often an idle stream is moved on by a message of our own, so that it can be seen to live: `'10s'` by default; `false` for never. */
  readonly heartbeat?: Heartbeat | false;
  /** Bytes of changes that may wait in memory, 64 MiB by default. A larger transaction passes through in parts. */
  readonly memoryBytes?: number;
  /** Bytes of open transactions that may wait in files when `streaming`, 10 GiB by default. */
  readonly spoolBytes?: number;
  /**
   * Installs an event trigger at the source, where the user may, that tells of each ALTER TABLE within the stream: then a renamed column is known
   * from a dropped one. On by default.
   */
  readonly announceColumns?: boolean;
  /** Has standbys keep the slot too, so that the stream survives a failover (Postgres 17 and later). */
  readonly failover?: boolean;
}

/** `'500ms'`, `'10s'`, `'2m'`. */
export type Heartbeat = `${number}${'ms' | 's' | 'm'}`;

export interface CaptureSettings {
  readonly publication: string | null;
  readonly streaming: boolean;
  /** Null for never. */
  readonly heartbeatMs: number | null;
  readonly memoryBytes: number;
  readonly spoolBytes: number;
  readonly failover: boolean;
  readonly announceColumns: boolean;
}

const mebibyte = 1024 * 1024;

/** @throws PIPELINE_INVALID */
export function captureSettings(options: PostgresCaptureOptions): CaptureSettings {
  const { publication = null, streaming = false, heartbeat = '10s', failover = false, announceColumns = true } = options;
  const { memoryBytes = 64 * mebibyte, spoolBytes = 10 * 1024 * mebibyte } = options;
  for (const [name, value, least] of [
    ['memoryBytes', memoryBytes, mebibyte],
    ['spoolBytes', spoolBytes, mebibyte],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least) throw invalid(`${name} is ${value}`, `Give a number of bytes, ${least} or more.`);
  }
  return {
    publication,
    streaming,
    heartbeatMs: heartbeat === false ? null : interval(heartbeat),
    memoryBytes,
    spoolBytes,
    failover,
    announceColumns,
  };
}

const units = { ms: 1, s: 1_000, m: 60_000 } as const;

function interval(text: Heartbeat): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  const milliseconds = Number(number) * units[unit as keyof typeof units];
  if (milliseconds >= 100) return milliseconds;
  throw invalid(`heartbeat is ${JSON.stringify(text)}`, "Write it as '10s' or '1m', 100ms at least, or false.");
}

const invalid = (message: string, remedy: string): MillraceError =>
  new MillraceError('PIPELINE_INVALID', { message: `capture(): ${message}.`, remedy });

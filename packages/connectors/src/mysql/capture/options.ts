import { MillraceError } from '@millrace/core/runtime';

/** Options of a capture from MySQL or MariaDB, beside those that every capture has. */
export interface MysqlCaptureOptions {
  /**
   * The number by which the source knows this reader among its replicas: one that no other has. Left out, it is made of the names of pipeline and
   * step, from 2147483648 on.
   */
  readonly serverId?: number;
  /** How often an idle stream is moved on by a row of our own, so that it can be seen to live: `'10s'` by default; `false` for never. */
  readonly heartbeat?: Heartbeat | false;
  /** Bytes of changes that may wait in memory, 64 MiB by default. A larger transaction passes through in parts. */
  readonly memoryBytes?: number;
  /**
   * Tables, by their names in the pipeline, of whose changes the whole row before is told, as REPLICA IDENTITY FULL of Postgres has it: for change
   * logs that want it. Of the others its key is told; of tables without a key always the whole row.
   */
  readonly wholeRows?: readonly string[];
}

/** `'500ms'`, `'10s'`, `'2m'`. */
export type Heartbeat = `${number}${'ms' | 's' | 'm'}`;

export interface CaptureSettings {
  readonly serverId: number | null;
  /** Null for never. */
  readonly heartbeatMs: number | null;
  readonly memoryBytes: number;
  readonly wholeRows: readonly string[];
}

const mebibyte = 1024 * 1024;

/** @throws PIPELINE_INVALID */
export function captureSettings(options: MysqlCaptureOptions): CaptureSettings {
  const { serverId, heartbeat = '10s', memoryBytes = 64 * mebibyte, wholeRows = [] } = options;
  if (serverId !== undefined && !(Number.isInteger(serverId) && serverId > 0 && serverId < 2 ** 32))
    throw invalid(`serverId is ${serverId}`, 'Give a number from 1 to 4294967295 that no replica of the source has.');
  if (!Number.isSafeInteger(memoryBytes) || memoryBytes < mebibyte)
    throw invalid(`memoryBytes is ${memoryBytes}`, `Give a number of bytes, ${mebibyte} or more.`);
  return { serverId: serverId ?? null, heartbeatMs: heartbeat === false ? null : interval(heartbeat), memoryBytes, wholeRows };
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

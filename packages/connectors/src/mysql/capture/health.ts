import type { StreamHealth } from '@millrace/core/runtime';
import type { Session } from '../session.ts';
import { endOfFiles, type LogFile, readLogFiles } from './log-server.ts';

/** Growth is that of the last minute. */
const windowMs = 60_000;

/** Watches a log from one look to the next. The server keeps it for a time of its own, whoever reads it. */
export class LogWatch {
  readonly #looks: { readonly at: number; readonly written: number }[] = [];

  /** `at`: how far the reader has come, in file 0 where it has not been told of one yet; null where nobody reads. */
  async look(session: Session, slot: string, at: { readonly file: number; readonly offset: number } | null): Promise<StreamHealth> {
    const files = await readLogFiles(session);
    const end = await endOfFiles(session);
    const retained = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const now = performance.now();
    const written = end.file * 2 ** 32 + end.offset;
    this.#looks.push({ at: now, written });
    while ((this.#looks[1]?.at ?? now) < now - windowMs) this.#looks.shift();
    const first = this.#looks[0] as { at: number; written: number };
    const seconds = (now - first.at) / 1000;
    const isOneFile = Math.floor(first.written / 2 ** 32) === end.file;
    return {
      slot,
      state: 'reserved',
      retainedBytes: retained,
      budgetBytes: null,
      lagBytes: lagOf(files, end, at),
      growthPerSecond: seconds > 0 && isOneFile ? Math.round((written - first.written) / seconds) : 0,
      spooledBytes: 0,
      warnings: warningsOf(files, at),
    };
  }
}

function lagOf(
  files: readonly LogFile[],
  end: { readonly file: number; readonly offset: number },
  at: { readonly file: number; readonly offset: number } | null,
): number {
  if (at === null || at.file === 0) return 0;
  if (at.file === end.file) return Math.max(0, end.offset - at.offset);
  const between = files.filter(({ file }) => file > at.file && file < end.file).reduce((sum, { bytes }) => sum + bytes, 0);
  const rest = files.find(({ file }) => file === at.file)?.bytes ?? at.offset;
  return Math.max(0, rest - at.offset) + between + end.offset;
}

function warningsOf(files: readonly LogFile[], at: { readonly file: number } | null): string[] {
  const oldest = files[0]?.file ?? 0;
  if (at === null || at.file === 0 || at.file > oldest || files.length < 2) return [];
  return [
    `The stream reads the oldest log that the server has (${files[0]?.name}), which it may remove. Find out what holds the targets up, or let it keep its logs for longer (binlog_expire_logs_seconds).`,
  ];
}

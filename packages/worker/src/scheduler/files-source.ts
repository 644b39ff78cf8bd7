import type { FilesSchedule, ScheduleStore } from '@millrace/core/runtime';
import { type FileStore, type FoundFile, fileKey, fileTick } from './found-file.ts';
import type { TriggerSource } from './trigger-source.ts';

export interface FilesSourceOptions {
  readonly store: ScheduleStore;
  readonly files: FileStore;
  readonly pipeline: string;
  readonly schedule: FilesSchedule;
  /** Milliseconds between two listings; 10,000 by default. */
  readonly everyMs?: number;
  /** Milliseconds that have passed since some instant, forwards only; for tests. */
  readonly elapsed?: () => number;
}

const defaultQuietMs = 30_000;
/** Files that are handed over in one statement. */
const together = 1_000;

/**
 * `onFiles()` by listing: each file, and each new content of it, is one tick. A file is taken once it has looked the same for the
 * quiet time, by the clock of whoever watches it, so that nobody's clocks are compared and a restart only waits again. What was there
 * before the schedule was is not taken.
 */
export function filesSource({
  store,
  files,
  pipeline,
  schedule,
  everyMs = 10_000,
  elapsed = () => performance.now(),
}: FilesSourceOptions): TriggerSource {
  const quietMs = schedule.quietMs ?? defaultQuietMs;
  /** Keys that have their ticks. */
  let known = new Set<string>();
  /** Since when they look as they do. */
  let seen = new Map<string, number>();
  let begun = false;

  async function look(signal: AbortSignal): Promise<number | null> {
    const found: FoundFile[] = [];
    for await (const file of files.list(schedule.pattern, signal)) found.push(file);
    if (!begun && (await isFirstLook(found))) return null;
    begun = true;
    const now = elapsed();
    const keys = new Set(found.map(fileKey));
    known = new Set([...known].filter((key) => keys.has(key)));
    const fresh = found.filter((file) => !known.has(fileKey(file)));
    seen = new Map(fresh.map((file) => [fileKey(file), seen.get(fileKey(file)) ?? now]));
    const quiet = fresh.filter((file) => now - (seen.get(fileKey(file)) as number) >= quietMs);
    for (let at = 0; at < quiet.length; at += together) {
      const batch = quiet.slice(at, at + together);
      await store.offer(
        pipeline,
        batch.map((file) => fileTick(file, 'waiting')),
      );
      for (const file of batch) known.add(fileKey(file));
    }
    return fresh.length > quiet.length ? Math.min(everyMs, Math.max(100, quietMs)) : null;
  }

  /** Of those that look for the first time at once one is first; for the others its files are known. */
  async function isFirstLook(found: readonly FoundFile[]): Promise<boolean> {
    let first = false;
    const view = await store.change(pipeline, ({ schedule: { since, evaluatedAt } }, now) => {
      first = since === evaluatedAt;
      return first ? { ticks: found.map((file) => fileTick(file, 'missed')), evaluatedAt: now } : {};
    });
    begun = view !== null;
    return view === null || first;
  }

  return { name: `files of ${schedule.pattern} for ${pipeline}`, everyMs, look };
}

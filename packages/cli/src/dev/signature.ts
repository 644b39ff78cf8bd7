import { statSync } from 'node:fs';

/**
 * Changes when one of these files does: by its time, its size, and which file it is, for those who write another one and rename it.
 * Looking costs some microseconds for a file, and works on every disk, which notifications of the system do not.
 */
export function signatureOf(files: readonly string[]): string {
  return files.map(factsOf).join('\n');
}

/** Whether one of them has changed, or been put there, since then (milliseconds since 1970). */
export function changedSince(files: readonly string[], since: number): boolean {
  return files.some((file) => (statSync(file, { throwIfNoEntry: false })?.ctimeMs ?? 0) >= since);
}

function factsOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found ? `${file} ${found.mtimeMs} ${found.size} ${found.ino}` : file;
}

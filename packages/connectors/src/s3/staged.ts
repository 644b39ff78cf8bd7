import { latestManifest, manifestsSince } from './dataset.ts';
import type { Storage } from './storage.ts';

/**
 * Before parts are uploaded a note with their keys is written, so that parts which no manifest will ever list can be found without
 * listing the dataset: `_millrace/staged/<load>-<epoch>-<split>.json`. The commit takes the notes away.
 *
 * Who deletes what:
 *   parts in no manifest    the next load that succeeds here, once the note is older than `orphanHours`
 *   parts in a manifest     nobody
 * A failed attempt deletes nothing by itself: a newer one may have taken over its parts, and asking first would leave a gap between the
 * answer and the deletion. A commit in turn refuses parts that are almost old enough to be taken for orphans (`freshFor`).
 */
const folder = '_millrace/staged/';

export interface StagedNote {
  readonly loadId: string;
  readonly keys: readonly string[];
  readonly at: string;
}

/** `of` is a load's id, or what stands for a stream. */
export const noteKey = (of: string, epoch: number, part: string): string => `${folder}${of.slice(0, 16)}-${epoch}-${part}.json`;

export const writeNote = (storage: Storage, key: string, note: StagedNote): Promise<void> => storage.write(key, JSON.stringify(note));

const hour = 3_600_000;

/** How long parts may be committed: an hour, or a quarter of the time, before they may be deleted. */
export const freshFor = (orphanHours: number): number => orphanHours * hour - Math.min(hour, (orphanHours * hour) / 4);

/** Deletions of one load, so that tidying up never takes longer than loading. */
const mostNotes = 500;

/**
 * Deletes parts that nobody will commit any more. Every step may be repeated or broken off.
 * The time is that of the caller's clock, the age of a note the store's: hours lie between them.
 */
export async function sweepOrphans(
  storage: Storage,
  now: Date,
  orphanHours: number,
  /** Notes of an attempt that is still under way, however old they are. */
  isAlive: (note: string) => boolean = () => false,
): Promise<number> {
  const before = new Date(now.getTime() - orphanHours * hour);
  const notes: { key: string; note: StagedNote }[] = [];
  for await (const { key, modified } of storage.list(folder)) {
    if (modified > before || isAlive(key)) continue;
    const body = await storage.read(key);
    if (body) notes.push({ key, note: JSON.parse(body.toString('utf8')) as StagedNote });
    if (notes.length === mostNotes) break;
  }
  if (notes.length === 0) return 0;
  const oldest = Math.min(...notes.map(({ note }) => Date.parse(note.at)));
  const listed = new Set<string>();
  for await (const { files } of manifestsSince(storage, await latestManifest(storage), oldest - hour))
    for (const { key } of files) listed.add(key);
  const orphans = notes.flatMap(({ note }) => note.keys.filter((key) => !listed.has(key)));
  await storage.delete(orphans);
  await storage.delete(notes.map(({ key }) => key));
  return orphans.length;
}

import { glob } from './glob.ts';
import { openStorage, type StorageContext, type StoreSettings } from './open-storage.ts';

/** An object or a file, as a listing tells of it. */
export interface MatchingFile {
  readonly url: string;
  /** Changes when the content does. */
  readonly etag: string;
  readonly size: number;
}

/** Objects or files that a pattern with its place names: `s3://bucket/landing/*.csv`, `file:./landing/{a,b}.csv`. @throws PIPELINE_INVALID, CONFIG_INVALID */
export async function* filesMatching(pattern: string, settings: StoreSettings, context: StorageContext): AsyncGenerator<MatchingFile> {
  const { place, names } = parts(pattern);
  const { prefix, matches } = glob(names);
  await using storage = await openStorage(place, settings, context);
  for await (const { key, etag, size } of storage.list(prefix)) if (matches(key)) yield { url: storage.url + key, etag, size };
}

/** Whether `s3://bucket/key` is among those that a pattern names. */
export function matchesUrl(pattern: string, url: string): boolean {
  const { place, names } = parts(pattern);
  return url.startsWith(place) && glob(names).matches(url.slice(place.length));
}

/** The place ends before the first part that is a pattern. */
function parts(pattern: string): { place: string; names: string } {
  const special = pattern.search(/[*?[{]/);
  const cut = pattern.lastIndexOf('/', special < 0 ? undefined : special) + 1;
  return { place: pattern.slice(0, cut), names: pattern.slice(cut) };
}

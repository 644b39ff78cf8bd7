import { type FilesRef, MillraceError } from '@millrace/core/runtime';
import { type Manifest, type ManifestFile, manifestFolder, manifestKey, parseManifest, sequenceOf } from './manifest.ts';
import { openStorage, type StorageContext, type StoreSettings } from './open-storage.ts';
import type { FileReader, Storage } from './storage.ts';

/**
 * The manifests that make up a dataset now, oldest first: from the last one that replaced. With `after` (a `FilesRef.manifest`) only those
 * that came later; where one of them replaces, what came before it is left out and its `mode` says so.
 *
 * `storage` stands at the dataset's location: `openDataset(ref.location, …)`.
 */
export async function listManifests(storage: FileReader, after?: string): Promise<Manifest[]> {
  const latest = await latestManifest(storage);
  if (!latest) return [];
  const first = Math.max(latest.base, after === undefined ? 0 : (sequenceOf(after) ?? 0) + 1);
  const earlier = await inOrder(first, latest.sequence - 1, (sequence) => readManifest(storage, manifestKey(sequence)));
  return first > latest.sequence ? [] : [...earlier, latest];
}

/** @throws MANIFEST_MISMATCH where there is none of that name */
export async function readManifest(storage: FileReader, manifest: string): Promise<Manifest> {
  const body = await storage.read(manifest);
  if (body) return parseManifest(body, storage.url + manifest);
  throw new MillraceError('MANIFEST_MISMATCH', {
    message: `${storage.url}${manifest} is gone: the log of the dataset has a gap.`,
    remedy: 'Restore the object, or load the dataset anew under another prefix.',
    facts: { file: storage.url + manifest },
  });
}

/** The dataset that a load has left files in. The settings are those of the `s3()` that wrote it; for AWS and `file:` none are needed. */
export function openDataset(location: string, settings: StoreSettings, context: StorageContext): Promise<Storage> {
  return openStorage(location, settings, context);
}

/** The manifest and the files that a load has left. */
export async function filesOf(
  ref: FilesRef,
  settings: StoreSettings,
  context: StorageContext,
): Promise<{ manifest: Manifest; files: readonly (ManifestFile & { url: string })[] }> {
  await using storage = await openDataset(ref.location, settings, context);
  const manifest = await readManifest(storage, ref.manifest);
  return { manifest, files: manifest.files.map((file) => ({ ...file, url: storage.url + file.key })) };
}

/**
 * The end of the log. Listings are in order and consistent, so it is found by listing from a number that was written down not
 * long ago; the number may be old, or wrong after somebody has cleared the prefix, and then the listing begins at the beginning.
 */
export async function latestManifest(storage: FileReader): Promise<Manifest | null> {
  const noted = Number((await storage.read(hintKey))?.toString('utf8') ?? 0);
  const last = (noted > 1 ? await lastKey(storage, manifestKey(noted - 1)) : null) ?? (await lastKey(storage));
  return last === null ? null : readManifest(storage, last);
}

const hintKey = '_millrace/latest';
/** One page of a listing holds a thousand keys. */
const hintEvery = 500;

/** Notes where the log has come to, now and then. It saves time only, so it may fail. */
export async function noteLatest(storage: Storage, sequence: number): Promise<void> {
  if (sequence % hintEvery === 0) await storage.write(hintKey, String(sequence));
}

async function lastKey(storage: FileReader, after?: string): Promise<string | null> {
  let last: string | null = null;
  for await (const { key } of storage.list(manifestFolder, after === undefined ? {} : { after })) {
    if (sequenceOf(key) !== null) last = key;
  }
  return last;
}

/** Manifests from the end of the log back to those committed before `time`. Newest first. */
export async function* manifestsSince(storage: FileReader, latest: Manifest | null, time: number): AsyncGenerator<Manifest> {
  for (let manifest = latest; manifest; ) {
    if (Date.parse(manifest.committedAt) < time) return;
    yield manifest;
    manifest = manifest.sequence > 1 ? await readManifest(storage, manifestKey(manifest.sequence - 1)) : null;
  }
}

/** `get` for every number, eight at a time, answers in order. */
async function inOrder<Result>(from: number, to: number, get: (number: number) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let at = Math.max(from, 1); at <= to; at += 8) {
    const count = Math.min(8, to - at + 1);
    results.push(...(await Promise.all(Array.from({ length: count }, (_, index) => get(at + index)))));
  }
  return results;
}

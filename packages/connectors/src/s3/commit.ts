import { type Checkpoint, type Fence, isMillraceError, type LoadSpec, MillraceError, type Receipt } from '@millrace/core/runtime';
import { latestManifest, manifestsSince, noteLatest, readManifest } from './dataset.ts';
import { passing } from './failpoints.ts';
import type { FileLayout } from './layout.ts';
import { type Manifest, type ManifestFile, manifestKey, manifestVersion, type OwnerState, ownerName, receiptOf } from './manifest.ts';
import type { Storage } from './storage.ts';

export interface Commit {
  readonly storage: Storage;
  readonly load: LoadSpec;
  readonly fence: Fence;
  readonly layout: FileLayout;
  readonly now: () => Date;
  /** The end of the log when the load began. */
  readonly seen: number;
}

/** Clocks of two machines differ by less. */
const clockSkew = 3_600_000;
const mostAttempts = 100;

/**
 * The receipt of this load, where the log has it. It cannot be older than the run that it belongs to, so the log is read back to there,
 * or to `after`, up to which the caller has looked before.
 */
export async function findApplied(storage: Storage, load: LoadSpec, latest: Manifest | null, after = 0): Promise<Receipt | null> {
  for await (const manifest of manifestsSince(storage, latest, Date.parse(load.runAt) - clockSkew)) {
    if (manifest.sequence <= after) break;
    if (manifest.loadId === load.id) return receiptOf(manifest, storage.url);
  }
  // A window may have been loaded by an earlier run.
  const state = latest?.owners[ownerName(load.owner)];
  if (state?.loadId !== load.id) return null;
  return receiptOf(await readManifest(storage, manifestKey(state.sequence)), storage.url);
}

/**
 * Adds the load to the log: the next manifest is created, which only one writer can do. Who comes second reads what came first and decides
 * anew: its own load (an answer got lost, or another attempt was faster) is applied; anything else is the state to go on from.
 *
 * @throws CHECKPOINT_MOVED, LOAD_CONFLICT
 */
export async function commitFiles(commit: Commit, files: readonly ManifestFile[], checkpoint: Checkpoint): Promise<Receipt> {
  const { storage, load } = commit;
  let latest = await latestManifest(storage);
  const applied = await findApplied(storage, load, latest, commit.seen);
  if (applied) return applied;
  for (let attempt = 1; attempt <= mostAttempts; attempt++) {
    checkOrder(latest?.owners[ownerName(load.owner)], load, commit.layout.mode);
    const manifest = nextManifest(commit, latest, files, checkpoint);
    const key = manifestKey(manifest.sequence);
    passing('s3.commit.begun');
    if (await created(storage, key, manifest)) {
      passing('s3.commit.written');
      await noteLatest(storage, manifest.sequence).catch(() => {});
      return receiptOf(manifest, storage.url);
    }
    latest = await readManifest(storage, key);
    if (latest.loadId === load.id) return receiptOf(latest, storage.url);
  }
  throw new MillraceError('LOAD_CONFLICT', {
    message: `${mostAttempts} other loads into ${storage.url} came first.`,
    remedy: 'Tried again with backoff. Load into one prefix less often, or from fewer pipelines.',
  });
}

/** Whether the answer comes or not, what counts is what stands there afterwards. */
export async function created(storage: Storage, key: string, manifest: Manifest): Promise<boolean> {
  try {
    return await storage.create(key, JSON.stringify(manifest));
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    const there = await readManifest(storage, key).catch(() => null);
    if (there?.loadId === manifest.loadId) return true;
    throw error;
  }
}

/**
 * A window must begin where the last one of the same owner ended. A load without a window holds everything: an older run's must not replace a
 * newer one's.
 *
 * @throws CHECKPOINT_MOVED
 */
function checkOrder(state: OwnerState | undefined, load: LoadSpec, mode: 'append' | 'replace'): void {
  if (!load.window || load.fullRefresh) {
    const replaces = mode === 'replace' || load.fullRefresh;
    if (state && replaces && state.runAt > load.runAt)
      throw moved(load, `a run of ${state.runAt} has loaded all rows`, `the run of ${load.runAt}`);
    return;
  }
  const window = state?.checkpoint.window ?? null;
  const high = window && window.column === load.window.column ? window.high : null;
  if (high !== load.window.low)
    throw moved(load, state ? `the checkpoint is at ${high ?? 'no value'}` : 'there is no checkpoint', load.window.low ?? 'the beginning');
}

function moved(load: LoadSpec, found: string, begins: string): MillraceError {
  return new MillraceError('CHECKPOINT_MOVED', {
    message: `${ownerName(load.owner)}: at the target ${found}, and this load begins at ${begins}.`,
    remedy:
      'Another run came in between. Cancel this one and start a new run, which begins where the target is; --full-refresh loads everything again.',
    facts: { ...load.owner, loadId: load.id },
  });
}

function nextManifest(
  { storage, load, fence, layout, now }: Commit,
  latest: Manifest | null,
  files: readonly ManifestFile[],
  checkpoint: Checkpoint,
): Manifest {
  const sequence = (latest?.sequence ?? 0) + 1;
  const mode = load.fullRefresh ? 'replace' : layout.mode;
  return {
    entries: files.map(({ key, bytes, rows }) => ({
      url: storage.url + key,
      mandatory: true,
      meta: { content_length: bytes, record_count: rows },
    })),
    version: manifestVersion,
    sequence,
    mode,
    base: mode === 'replace' ? sequence : (latest?.base ?? 1),
    loadId: load.id,
    owner: load.owner,
    run: load.run,
    runAt: load.runAt,
    epoch: fence.epoch,
    committedAt: now().toISOString(),
    format: layout.format,
    codec: layout.codec,
    schema: load.schema,
    partitionBy: layout.partitionBy,
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    files,
    checkpoint,
    owners: { ...latest?.owners, [ownerName(load.owner)]: { sequence, loadId: load.id, runAt: load.runAt, checkpoint } },
  };
}

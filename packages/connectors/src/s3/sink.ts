import { rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import {
  type BytesChannel,
  type Channel,
  type Checkpoint,
  type Context,
  encodeCsv,
  type Fence,
  type LoadOwner,
  type LoadSession,
  type LoadSpec,
  MillraceError,
  type ReadCount,
  type Receipt,
  type Sink,
  type Split,
  type StagedPart,
} from '@millrace/core/runtime';
import { csvToFiles } from '../duckdb/index.ts';
import { type Commit, commitFiles, findApplied } from './commit.ts';
import { latestManifest } from './dataset.ts';
import { passing } from './failpoints.ts';
import { checkFence, dropFence, sweepFences, takeFence } from './fence.ts';
import type { FileLayout } from './layout.ts';
import { type ManifestFile, ownerName } from './manifest.ts';
import { freshFor, noteKey, sweepOrphans, writeNote } from './staged.ts';
import type { Storage } from './storage.ts';

/** What a staged part says of itself, as JSON. */
interface PartDetail {
  readonly files: readonly ManifestFile[];
  readonly note: string;
  readonly at: string;
}

const detailOf = (part: StagedPart): PartDetail => part.detail as unknown as PartDetail;

export class FileSink implements Sink {
  readonly #storage: Storage;
  readonly #layout: FileLayout;
  readonly #context: Context;

  constructor(storage: Storage, layout: FileLayout, context: Context) {
    this.#storage = storage;
    this.#layout = layout;
    this.#context = context;
  }

  async checkpoint(owner: LoadOwner): Promise<Checkpoint | null> {
    return (await latestManifest(this.#storage))?.owners[ownerName(owner)]?.checkpoint ?? null;
  }

  async begin(load: LoadSpec, fence: Fence): Promise<LoadSession> {
    await takeFence(this.#storage, fence);
    const latest = await latestManifest(this.#storage);
    const log = Object.entries(latest?.owners ?? {}).find(([, { stream }]) => stream);
    if (log) {
      throw new MillraceError('CONFIG_INVALID', {
        message: `${this.#storage.url} is the change log of "${log[0]}": rows of a load would stand between its changes.`,
        remedy: 'Load into a prefix of its own.',
      });
    }
    const applied = await findApplied(this.#storage, load, latest);
    const seen = latest?.sequence ?? 0;
    return new FileSession(
      { storage: this.#storage, load, fence, layout: this.#layout, now: this.#context.now, seen },
      applied,
      this.#context,
    );
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#storage[Symbol.asyncDispose]();
  }
}

class FileSession implements LoadSession {
  readonly applied: Receipt | null;
  /** Directories are each machine's own. */
  readonly shared?: true;
  readonly #commit: Commit;
  readonly #context: Context;

  constructor(commit: Commit, applied: Receipt | null, context: Context) {
    this.#commit = commit;
    this.applied = applied;
    if (commit.storage.shared) this.shared = true;
    this.#context = context;
  }

  /**
   * Converts the split into files of the spool and uploads them under names that hold split, load and epoch. A repeated attempt has another
   * epoch, so an upload that an older attempt still has under way can never change what a newer one has staged.
   */
  async stage(split: Split, channel: Channel): Promise<StagedPart> {
    const { storage, load, fence, layout, now } = this.#commit;
    const written = await csvToFiles(csvOf(channel), layout, this.#context);
    passing('s3.part.converted');
    const keys = written.map(({ partition, extension }, index) => {
      const several = written.filter((file) => file.partition === partition).length > 1;
      return `data/${partition && `${partition}/`}part-${split.id}-${load.id.slice(0, 8)}-${fence.epoch}${several ? `-${index}` : ''}${extension}`;
    });
    const note = noteKey(load.id, fence.epoch, split.id);
    const at = now().toISOString();
    if (keys.length > 0) await writeNote(storage, note, { loadId: load.id, keys, at });
    passing('s3.part.noted');
    const files: ManifestFile[] = [];
    for (const [index, file] of written.entries()) {
      const { key, size, etag } = await storage.upload(keys[index]!, file.path);
      await rm(file.path, { force: true });
      if (size !== file.bytes) throw lost(storage.url + key, 'was cut on its way');
      files.push({ key, bytes: size, rows: file.rows, etag, sha256: file.sha256, columns: file.columns });
      passing('s3.part.uploaded');
    }
    const detail: PartDetail = { files, note, at };
    return { split: split.id, rows: sum(files, 'rows'), bytes: sum(files, 'bytes'), detail: { ...detail } };
  }

  async recover(parts: readonly StagedPart[]): Promise<readonly StagedPart[]> {
    const { storage, layout, now } = this.#commit;
    const whole: StagedPart[] = [];
    for (const part of parts) {
      const { files, at } = detailOf(part);
      // Half of the time is left for the rest of the load.
      if (now().getTime() - Date.parse(at) > freshFor(layout.orphanHours) / 2) continue;
      const found = await Promise.all(files.map(({ key }) => storage.head(key)));
      if (files.every((file, index) => found[index]?.etag === file.etag && found[index]?.size === file.bytes)) whole.push(part);
    }
    return whole;
  }

  async commit(parts: readonly StagedPart[], checkpoint: Checkpoint): Promise<Receipt> {
    const { storage, fence, layout, now } = this.#commit;
    await checkFence(storage, fence);
    const old = parts.find((part) => now().getTime() - Date.parse(detailOf(part).at) > freshFor(layout.orphanHours));
    if (old)
      throw lost(
        `split ${old.split}`,
        `was staged more than ${Math.floor(freshFor(layout.orphanHours) / 3_600_000)} hours ago, and may be deleted as forgotten`,
      );
    const receipt = await commitFiles(
      this.#commit,
      parts.flatMap((part) => detailOf(part).files),
      checkpoint,
    );
    await this.#tidy(parts);
    return receipt;
  }

  /** The load is applied: what follows may fail, and is done again by the next load. */
  async #tidy(parts: readonly StagedPart[]): Promise<void> {
    const { storage, fence, layout, now } = this.#commit;
    const { log } = this.#context;
    try {
      await storage.delete(parts.flatMap((part) => (detailOf(part).files.length > 0 ? [detailOf(part).note] : [])));
      await dropFence(storage, fence);
      passing('s3.commit.tidied');
      const orphans = await sweepOrphans(storage, now(), layout.orphanHours);
      if (orphans > 0) log.info(`${orphans} files that no load has committed were deleted from ${storage.url}`);
      const before = new Date(now().getTime() - layout.orphanHours * 3_600_000);
      await sweepFences(storage, before);
      await storage.sweep(before);
    } catch (error) {
      log.warn(
        `tidying up under ${storage.url} failed, and is left to the next load: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  /** Nothing that was staged can be seen, and `staged.ts` says why it is not deleted here. */
  async abort(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

const sum = (files: readonly ManifestFile[], of: 'rows' | 'bytes'): number => files.reduce((total, file) => total + file[of], 0);

function lost(what: string, how: string): MillraceError {
  return new MillraceError('WIRE_CORRUPT', { message: `${what} ${how}.`, remedy: 'The stage is done again.' });
}

/** Rows as canonical CSV, however they come. */
export function csvOf(channel: Channel): BytesChannel {
  if (channel.format === 'csv') return channel;
  if (channel.format !== 'batches') {
    throw new MillraceError('INTERNAL', { message: `Files cannot be made of ${channel.format}.`, remedy: 'Please report it.' });
  }
  const { schema, batches } = channel;
  let settle: { resolve(count: ReadCount): void; reject(error: unknown): void };
  const done = new Promise<ReadCount>((resolve, reject) => {
    settle = { resolve, reject };
  });
  done.catch(() => {});
  let rows = 0;
  async function* counted() {
    for await (const batch of batches) {
      rows += batch.rowCount;
      yield batch;
    }
  }
  async function* encoded() {
    try {
      yield* encodeCsv(schema, counted());
      settle.resolve({ rows });
    } catch (error) {
      settle.reject(error);
      throw error;
    }
  }
  return { format: 'csv', schema, stream: Readable.from(encoded(), { objectMode: false, highWaterMark: 512 * 1024 }), done };
}

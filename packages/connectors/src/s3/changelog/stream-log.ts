import { createHash } from 'node:crypto';
import { type Fence, MillraceError, type RowSchema, type SinkStream } from '@millrace/core/runtime';
import type { FileFormat } from '../../duckdb/index.ts';
import { created } from '../commit.ts';
import { latestManifest, noteLatest, readManifest } from '../dataset.ts';
import { dropFence, takeFence } from '../fence.ts';
import { type LogFile, type Manifest, type ManifestFile, manifestKey, manifestVersion, ownerName, type StreamEntry } from '../manifest.ts';
import type { Storage } from '../storage.ts';
import { signature } from './change-spool.ts';
import { commonSchema } from './columns.ts';
import { passing } from './failpoints.ts';

/** A file that is to be listed, with its columns. */
export interface LoggedFile {
  readonly file: Omit<ManifestFile, 'log'>;
  readonly schema: RowSchema;
  readonly log: Omit<LogFile, 'schema'>;
}

export interface LogCommit {
  readonly files?: readonly LoggedFile[];
  readonly entry: Omit<StreamEntry, 'epoch'>;
  /** The log begins anew here: another stream. */
  readonly anew?: boolean;
}

const nothing: StreamEntry = { epoch: 0, identity: null, position: null, copied: {}, logged: [], leftOut: {} };

export interface StreamLogOptions {
  readonly storage: Storage;
  readonly stream: Pick<SinkStream, 'owner' | 'pipelineRun' | 'tables'>;
  readonly fence: Fence;
  readonly format: Pick<FileFormat, 'format' | 'codec'>;
  readonly now: () => Date;
}

/**
 * The manifests of a change log, as the one attempt that may add to them. Data and position are one manifest, and a manifest can be
 * created once: who finds his number taken by a newer attempt is fenced, however long he was asleep. So that this holds from the first moment on,
 * taking over writes a manifest without files.
 */
export class StreamLog {
  readonly #options: StreamLogOptions;
  readonly #owner: string;
  #latest: Manifest | null;
  #entry: StreamEntry;
  #written = 0;

  /** @throws ATTEMPT_FENCED · CONFIG_INVALID where somebody else's files stand under the prefix */
  static async takeOver(options: StreamLogOptions): Promise<StreamLog> {
    const { storage, fence } = options;
    await takeFence(storage, fence);
    const log = new StreamLog(options, await latestManifest(storage));
    // Tables that are no part of the stream any more are not followed, and so not copied.
    const isFollowed = ([table]: [string, unknown]) => Object.hasOwn(options.stream.tables, table);
    await log.#write(() => ({
      entry: { ...log.#entry, copied: Object.fromEntries(Object.entries(log.#entry.copied).filter(isFollowed)) },
    }));
    passing('s3.log.taken-over');
    await dropFence(storage, fence);
    return log;
  }

  private constructor(options: StreamLogOptions, latest: Manifest | null) {
    this.#options = options;
    this.#owner = ownerName(options.stream.owner);
    this.#latest = latest;
    this.#entry = this.#entryOf(latest);
  }

  get entry(): StreamEntry {
    return this.#entry;
  }

  /**
   * Adds one manifest: all or nothing. Where this promise rejects, the commit may have come about all the same, unless the error is
   * ATTEMPT_FENCED; the next attempt sees it.
   */
  async commit(commit: LogCommit): Promise<void> {
    passing('s3.log.commit-begun');
    await this.#write(() => commit);
    passing('s3.log.committed');
    await noteLatest(this.#options.storage, this.#latest?.sequence ?? 0).catch(() => {});
  }

  /** Whoever had the number first is looked at, and `make` is asked again. */
  async #write(make: () => LogCommit): Promise<void> {
    const { storage } = this.#options;
    const id = this.#nextId();
    for (;;) {
      const manifest = this.#manifest(make(), id);
      const key = manifestKey(manifest.sequence);
      const done = await created(storage, key, manifest);
      const latest = done ? manifest : await readManifest(storage, key);
      this.#entry = this.#entryOf(latest);
      this.#latest = latest;
      if (done || latest.loadId === id) return;
    }
  }

  /** The state of this stream up to a manifest. @throws ATTEMPT_FENCED where a newer attempt has been there */
  #entryOf(latest: Manifest | null): StreamEntry {
    const { fence, storage } = this.#options;
    for (const [owner, { stream }] of Object.entries(latest?.owners ?? {})) {
      if (owner === this.#owner && stream) continue;
      throw new MillraceError('CONFIG_INVALID', {
        message: `${storage.url} is ${stream ? 'the change log' : 'a dataset'} of "${owner}".`,
        remedy: 'Give every change log a prefix of its own.',
        facts: { owner },
      });
    }
    const entry = latest?.owners[this.#owner]?.stream ?? nothing;
    // Of one's own epoch everything is one's own, from before an answer that got lost.
    if (entry.epoch > fence.epoch) {
      throw new MillraceError('ATTEMPT_FENCED', {
        message: `Attempt ${fence.epoch} at ${fence.key} came too late: a newer one has taken over the change log at ${storage.url}.`,
        remedy: 'Nothing to do: the newer attempt goes on.',
        facts: { key: fence.key, epoch: fence.epoch },
      });
    }
    return entry;
  }

  #nextId(): string {
    const { fence } = this.#options;
    const of = createHash('sha256').update(`${this.#owner}\n${fence.key}`).digest('hex').slice(0, 16);
    return `stream-${of}-${fence.epoch}-${++this.#written}`;
  }

  #manifest({ files = [], entry, anew = false }: LogCommit, loadId: string): Manifest {
    const { storage, stream, fence, format, now } = this.#options;
    const latest = this.#latest;
    const sequence = (latest?.sequence ?? 0) + 1;
    const at = now().toISOString();
    const checkpoint = { window: null, loadId };
    const { listed, schemas } = listing(files);
    return {
      entries: listed.map(({ key, bytes, rows }) => ({
        url: storage.url + key,
        mandatory: true,
        meta: { content_length: bytes, record_count: rows },
      })),
      version: manifestVersion,
      sequence,
      mode: anew ? 'replace' : 'append',
      base: anew ? sequence : (latest?.base ?? 1),
      loadId,
      owner: stream.owner,
      run: stream.pipelineRun,
      runAt: at,
      epoch: fence.epoch,
      committedAt: at,
      format: format.format,
      codec: format.codec,
      schema: commonSchema,
      schemas,
      partitionBy: [],
      rows: listed.reduce((sum, { rows }) => sum + rows, 0),
      bytes: listed.reduce((sum, { bytes }) => sum + bytes, 0),
      files: listed,
      checkpoint,
      owners: { [this.#owner]: { sequence, loadId, runAt: at, checkpoint, stream: { ...entry, epoch: fence.epoch } } },
    };
  }
}

function listing(files: readonly LoggedFile[]): { listed: ManifestFile[]; schemas: RowSchema[] } {
  const schemas: RowSchema[] = [];
  const places = new Map<string, number>();
  const listed = files.map(({ file, schema, log }) => {
    const name = signature(schema);
    const place = places.get(name) ?? schemas.push(schema) - 1;
    places.set(name, place);
    return { ...file, log: { ...log, schema: place } };
  });
  return { listed, schemas };
}

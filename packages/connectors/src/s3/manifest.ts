import {
  type Checkpoint,
  type FilesRef,
  type LoadOwner,
  MillraceError,
  type Position,
  type Receipt,
  type RowSchema,
  type StreamIdentity,
} from '@millrace/core/runtime';
import type { ColumnStatistics } from '../duckdb/index.ts';

export const manifestVersion = 1;

/**
 * One commit to a dataset, `_manifest/0000000017.json`. Manifests are written once and never changed; their numbers have no
 * gaps, so the log has one order and the last manifest knows all that a writer must know. `entries` is what Redshift's COPY
 * reads; it takes no notice of the rest.
 */
export interface Manifest {
  readonly version: typeof manifestVersion;
  readonly entries: readonly {
    readonly url: string;
    readonly mandatory: true;
    readonly meta: { readonly content_length: number; readonly record_count: number };
  }[];
  readonly sequence: number;
  /** `replace`: what earlier manifests list is no part of the dataset any more. */
  readonly mode: 'append' | 'replace';
  /** The manifest with which the dataset begins: the last one that replaced, or the first. */
  readonly base: number;
  readonly loadId: string;
  readonly owner: LoadOwner;
  readonly run: string;
  readonly runAt: string;
  readonly epoch: number;
  readonly committedAt: string;
  readonly format: FilesRef['format'];
  readonly codec: 'snappy' | 'zstd' | 'gzip' | 'none';
  readonly schema: RowSchema;
  readonly partitionBy: readonly string[];
  readonly rows: number;
  readonly bytes: number;
  readonly files: readonly ManifestFile[];
  readonly checkpoint: Checkpoint;
  /** The last load of every owner up to here, this one included, by `ownerName`. */
  readonly owners: Readonly<Record<string, OwnerState>>;
  /** Of a change log: the columns of its files, which name theirs by its place here. */
  readonly schemas?: readonly RowSchema[];
}

export interface OwnerState {
  readonly sequence: number;
  readonly loadId: string;
  readonly runAt: string;
  readonly checkpoint: Checkpoint;
  /** Of a change log: how far it has come. */
  readonly stream?: StreamEntry;
}

/** Where a change log stands in the stream that it follows. */
export interface StreamEntry {
  /** Of the attempt that wrote it. Older attempts write no more manifests. */
  readonly epoch: number;
  readonly identity: StreamIdentity | null;
  readonly position: Position | null;
  readonly copied: Readonly<Record<string, Position>>;
  /** Tables that have had rows since the stream began. */
  readonly logged: readonly string[];
  /** Columns that the policy leaves out, by table. */
  readonly leftOut: Readonly<Record<string, readonly string[]>>;
}

export interface ManifestFile {
  /** Under the dataset's location: `data/day=2024-02-29/part-….parquet`. */
  readonly key: string;
  readonly bytes: number;
  readonly rows: number;
  readonly etag: string;
  readonly sha256: string;
  /** Nulls, and bounds of numbers, dates and times. Of Parquet only. */
  readonly columns: Readonly<Record<string, ColumnStatistics>> | null;
  /** Of a change log. */
  readonly log?: LogFile;
}

export interface LogFile {
  readonly table: string;
  /** The place of its columns in `schemas`. */
  readonly schema: number;
  readonly first: Position;
  readonly last: Position;
}

export const manifestFolder = '_manifest/';
export const manifestKey = (sequence: number): string => `${manifestFolder}${String(sequence).padStart(10, '0')}.json`;
/** The number in a key or in `FilesRef.manifest`; null for anything else. */
export function sequenceOf(key: string): number | null {
  const digits = /(?:^|\/)(\d{10})\.json$/.exec(key)?.[1];
  return digits === undefined ? null : Number(digits);
}

export const ownerName = ({ pipeline, step }: LoadOwner): string => `${pipeline}/${step}`;

/** @throws FILE_CORRUPT */
export function parseManifest(body: Buffer, url: string): Manifest {
  let parsed: Partial<Manifest> | null = null;
  try {
    parsed = JSON.parse(body.toString('utf8')) as Partial<Manifest>;
  } catch {
    // Said below.
  }
  if (parsed?.version === manifestVersion && Array.isArray(parsed.files) && typeof parsed.sequence === 'number') return parsed as Manifest;
  throw new MillraceError('FILE_CORRUPT', {
    message: `${url} is not a manifest that this version reads${parsed?.version === undefined ? '' : ` (version ${parsed.version})`}.`,
    remedy: 'Use the version of Millrace that wrote it, or move the dataset to a new prefix.',
    facts: { file: url },
  });
}

/** What the load that a manifest stands for has answered, word for word the same whoever asks. */
export function receiptOf(manifest: Manifest, location: string): Receipt {
  return {
    loadId: manifest.loadId,
    rows: manifest.rows,
    bytes: manifest.bytes,
    files: { location, manifest: manifestKey(manifest.sequence), format: manifest.format, rows: manifest.rows },
    checkpoint: manifest.checkpoint,
  };
}

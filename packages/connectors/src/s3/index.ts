export { type FileConnection, type S3Options, s3 } from './connection.ts';
export { filesOf, listManifests, openDataset, readManifest } from './dataset.ts';
export { type S3Failpoint, s3Failpoints } from './failpoints.ts';
export type { Manifest, ManifestFile } from './manifest.ts';
export type { StoreSettings } from './open-storage.ts';
export type { CsvReadOptions, ReadOptions } from './selection.ts';
export type { FileTarget, ParquetOptions, Size, TextOptions } from './target.ts';

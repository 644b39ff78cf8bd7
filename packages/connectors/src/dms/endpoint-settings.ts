import type { S3Settings } from '@aws-sdk/client-database-migration-service';

/**
 * What a setting of the S3 endpoint means to whoever reads its files.
 *
 * `any`: files are read the same way, whatever its value is.
 * `told`: every value is read, and the reader must know which it is. `unset` is what DMS does where it was never set.
 * `only`: with any other value the source cannot be known exactly from what is written.
 */
export type Meaning =
  | { readonly read: 'any' }
  | { readonly read: 'told'; readonly unset: string | boolean | null; readonly of?: 'csv' }
  | { readonly read: 'only'; readonly value: false; readonly why: string };

const any = { read: 'any' } as const;
const told = (unset: string | boolean | null): Meaning => ({ read: 'told', unset });
/** Means something only where a file is CSV. */
const ofCsv = (unset: string | boolean | null): Meaning => ({ read: 'told', unset, of: 'csv' });
const never = (why: string): Meaning => ({ read: 'only', value: false, why });

/** Every setting that the API has: one that it gets in a later version is an error of types here. */
export const meanings: Readonly<Record<keyof S3Settings, Meaning>> = {
  DataFormat: told('csv'),
  IncludeOpForFullLoad: told(false),
  TimestampColumnName: told(null),
  DatePartitionEnabled: told(false),
  PreserveTransactions: told(false),
  CdcPath: told(null),
  AddColumnName: ofCsv(false),
  Rfc4180: ofCsv(true),
  CsvDelimiter: ofCsv(','),
  CsvRowDelimiter: ofCsv('\n'),
  CsvNullValue: ofCsv('NULL'),
  UseCsvNoSupValue: ofCsv(false),
  CsvNoSupValue: ofCsv(null),

  CdcInsertsOnly: never('updates and deletes are not written'),
  CdcInsertsAndUpdates: never('deletes are not written'),
  AddTrailingPaddingCharacter: never('texts are written with characters that they do not have'),
  ParquetTimestampInMillisecond: never('microseconds of timestamps are cut off'),

  // Folders and files are known by their names in every form.
  DatePartitionSequence: any,
  DatePartitionDelimiter: any,
  DatePartitionTimezone: any,
  CompressionType: any,
  // A Parquet file says itself how it is made.
  EncodingType: any,
  DictPageSizeLimit: any,
  RowGroupLength: any,
  DataPageSize: any,
  ParquetVersion: any,
  EnableStatistics: any,
  // When and how large files are.
  CdcMaxBatchInterval: any,
  CdcMinFileSize: any,
  MaxFileSize: any,
  // Rows of a full load are ordered by nothing.
  UseTaskStartTimeForFullLoadTimestamp: any,
  // Where files are, and who may read them: looked at elsewhere, or by S3.
  BucketName: any,
  BucketFolder: any,
  ServiceAccessRoleArn: any,
  EncryptionMode: any,
  ServerSideEncryptionKmsKeyId: any,
  CannedAclForObjects: any,
  ExpectedBucketOwner: any,
  GlueCatalogGeneration: any,
  // Of sources.
  ExternalTableDefinition: any,
  IgnoreHeaderRows: any,
};

export interface Difference {
  readonly name: string;
  readonly wanted: unknown;
  readonly found: unknown;
}

/** Settings of the endpoint as it is that are not what is read by. `csv`: whether any file is CSV. */
export function differences(
  wanted: Readonly<Record<string, unknown>>,
  found: Readonly<Record<string, unknown>>,
  csv: boolean,
): Difference[] {
  return Object.entries(meanings).flatMap(([name, meaning]) => {
    if (meaning.read === 'any' || (meaning.read === 'told' && meaning.of === 'csv' && !csv)) return [];
    const unset = meaning.read === 'only' ? meaning.value : meaning.unset;
    const want = wanted[name] ?? unset;
    const is = found[name] ?? unset;
    return alike(is) === alike(want) ? [] : [{ name, wanted: want, found: is }];
  });
}

/** Backslashes are as the console takes them, `parquet` is also `PARQUET`, and slashes around a folder do not matter; a text that stands in files is to the letter. */
function alike(value: unknown): string {
  const text = String(value ?? '')
    .replaceAll('\\n', '\n')
    .replaceAll('\\r', '\r')
    .replaceAll('\\t', '\t')
    .replace(/^\/+|\/+$/g, '');
  return /^(csv|parquet|true|false)$/i.test(text) ? text.toLowerCase() : text;
}

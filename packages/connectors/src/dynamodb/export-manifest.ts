import { MillraceError } from '@millrace/core/runtime';
import type { Storage } from '../s3/storage.ts';

/** One file of items, as the export's manifest has it. */
export interface ExportFile {
  /** Relative to the export's folder: `data/2zj3pigfe64xl4lxtrylymyh3a.json.gz`. */
  readonly key: string;
  readonly items: number;
}

export interface ExportManifest {
  readonly tableArn: string;
  readonly exportTime: string;
  readonly items: number;
  readonly files: readonly ExportFile[];
}

/**
 * What DynamoDB has written about a full export: `manifest-summary.json`, and beside it the list of files.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
 *
 * @throws TABLE_MISSING where the export has not ended, UNSUPPORTED, FILE_CORRUPT
 */
export async function readManifest(storage: Storage): Promise<ExportManifest> {
  const summary = await storage.read('manifest-summary.json');
  if (!summary)
    throw new MillraceError('TABLE_MISSING', {
      message: `${storage.url} has no manifest-summary.json: it is no folder of an export, or the export has not ended.`,
      remedy: 'Give the folder that the export has made: exports/AWSDynamoDB/01693685827463-2d8752fd/.',
      facts: { url: storage.url },
    });
  const { outputFormat, exportType, tableArn, exportTime, itemCount } = parsed(summary.toString('utf8'), storage, 'manifest-summary.json');
  if (outputFormat !== 'DYNAMODB_JSON' || (exportType !== undefined && exportType !== 'FULL_EXPORT'))
    throw new MillraceError('UNSUPPORTED', {
      message: `The export at ${storage.url} is ${exportType ?? 'FULL_EXPORT'} as ${outputFormat}.`,
      remedy: 'Export the whole table as DYNAMODB_JSON.',
      facts: { outputFormat, exportType },
    });
  const list = (await storage.read('manifest-files.json'))?.toString('utf8') ?? '';
  const files = list
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const { dataFileS3Key, itemCount } = parsed(line, storage, 'manifest-files.json');
      return { key: `data/${String(dataFileS3Key).split('/').at(-1)}`, items: Number(itemCount) };
    });
  const counted = files.reduce((sum, { items }) => sum + items, 0);
  if (counted === Number(itemCount))
    return { tableArn: String(tableArn), exportTime: String(exportTime), items: counted, files: files.filter(({ items }) => items > 0) };
  throw new MillraceError('FILE_CORRUPT', {
    message: `The export at ${storage.url} has ${itemCount} items by its summary, and ${counted} by the list of its files.`,
    remedy: 'Copy it again, or export the table again.',
    facts: { url: storage.url },
  });
}

function parsed(text: string, { url }: Storage, name: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw new MillraceError('FILE_CORRUPT', {
      message: `${url}${name} is no JSON.`,
      remedy: 'Copy it again, or export the table again.',
      cause,
    });
  }
}

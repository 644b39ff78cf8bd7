import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Combination, everyCombination, pairwise } from '../../../../test/combinations.ts';
import { type DmsServer, dmsServer } from '../../../../test/dms-server.ts';
import { texts } from '../../test/dms-workload.ts';
import { type DmsSetting, followAll } from '../../test/dms-world.ts';
import { completeOutput, type S3Output } from './output.ts';

let server: DmsServer;
beforeAll(async () => {
  server = await dmsServer();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Every setting of an endpoint that changes what is written, and of `dms` that changes how it is read. The first value is what has no meaning goes back to. */
const factors = {
  written: ['parquet', 'csv', 'csv without names', 'transactions', 'transactions after parquet'],
  opInLoad: [true, false],
  // All of them: layout.test.ts.
  partition: ['none', 'YYYYMMDDHH SLASH', 'MMYYYYDD UNDERSCORE'],
  packed: ['none', 'gzip'],
  delimiter: [',', '|', '\u0001'],
  rowDelimiter: ['\n', '\r\n'],
  nullText: ['~NULL~', '\\N'],
  unlogged: [true, false],
  timestamp: ['_dms_ts', 'commit "time", of DMS'],
  parquet: ['usual', 'plain, version 2, small groups'],
  numbers: ['sequence and keys', 'sequence'],
  binary: ['hex', 'base64'],
} as const;

type Written = Combination<typeof factors>;

function settle(one: Written): Written {
  const isCsv = one.written !== 'parquet';
  const isParquet = one.written.endsWith('parquet');
  const isTransactions = one.written.startsWith('transactions');
  const first = { ...Object.fromEntries(Object.entries(factors).map(([name, values]) => [name, values[0]])) } as Written;
  return {
    ...one,
    ...(isTransactions && { partition: first.partition }),
    ...(!isCsv && {
      delimiter: first.delimiter,
      rowDelimiter: first.rowDelimiter,
      nullText: first.nullText,
      unlogged: first.unlogged,
      binary: first.binary,
    }),
    ...(!isParquet && { parquet: first.parquet }),
    ...((isTransactions || one.written === 'csv without names') && { numbers: 'sequence' }),
  };
}

function settingOf(one: Written): DmsSetting {
  const isTransactions = one.written.startsWith('transactions');
  const isParquet = one.written.endsWith('parquet');
  const [DatePartitionSequence, DatePartitionDelimiter] = one.partition.split(' ');
  const output = {
    DataFormat: isParquet ? 'parquet' : 'csv',
    IncludeOpForFullLoad: one.opInLoad,
    TimestampColumnName: one.timestamp,
    CompressionType: one.packed,
    ...(one.partition !== 'none' && { DatePartitionEnabled: true, DatePartitionSequence, DatePartitionDelimiter }),
    ...(isTransactions && { PreserveTransactions: true, CdcPath: 'changes/tx' }),
    ...(one.parquet !== 'usual' && { EncodingType: 'plain', ParquetVersion: 'parquet-2-0', RowGroupLength: 2 }),
    ...(one.written !== 'parquet' && {
      ...(!isTransactions && { AddColumnName: one.written === 'csv' }),
      CsvDelimiter: one.delimiter,
      CsvRowDelimiter: one.rowDelimiter,
      CsvNullValue: one.nullText,
      UseCsvNoSupValue: one.unlogged,
    }),
  } as S3Output;
  return { output, binary: one.binary, keyChanges: one.numbers === 'sequence and keys' };
}

/**
 * Every two settings beside each other; or a part of all combinations, which take an hour of one core:
 * MILLRACE_COMBINATIONS=1/2 npx vitest run --project unit packages/connectors/src/dms/settings.test.ts
 */
function combinationsOf(part = process.env['MILLRACE_COMBINATIONS']): Written[] {
  if (part === undefined) return pairwise(factors, settle);
  const [which = 1, parts = 1] = part.split('/').map(Number);
  return everyCombination(factors, settle).filter((_, at) => at % parts === which - 1);
}

describe('the mirror equals the source, whatever the settings, the order in which files come, and how often', () => {
  const combinations = combinationsOf();
  const seed = Number(process.env['MILLRACE_SEED'] ?? 1) * 1_000;
  test.each(combinations.map((one, at) => [Object.values(one).map(String).join(', '), one, at] as const))('%j', async (_, one, at) => {
    const pool = texts.filter((each) => each !== one.nullText);
    await followAll(server, settingOf(one), seed + at, { doubles: true, atCommits: false, pool });
  });
});

test('by the time of commits alone, where files are not doubled and end with a commit', async () => {
  await followAll(server, { output: { DataFormat: 'csv' }, sequence: false }, 5, { doubles: false, atCommits: true });
});

test('of a serverless replication', async () => {
  await followAll(server, { output: { DataFormat: 'csv' }, serverless: true }, 1, { doubles: true, atCommits: false });
});

describe('what DMS can write and nobody can read exactly is refused by the name of its setting, before anything is started', () => {
  const wrong: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    'CdcInsertsOnly is true': { CdcInsertsOnly: true },
    'CdcInsertsAndUpdates is true': { CdcInsertsAndUpdates: true },
    'AddTrailingPaddingCharacter is true': { AddTrailingPaddingCharacter: true },
    'ParquetTimestampInMillisecond is true': { ParquetTimestampInMillisecond: true },
    'TimestampColumnName is empty': { TimestampColumnName: ' ' },
    'PreserveTransactions needs CdcPath': { PreserveTransactions: true, CdcPath: '/' },
    'PreserveTransactions and AddColumnName exclude': { PreserveTransactions: true, CdcPath: 'tx', AddColumnName: true },
    'PreserveTransactions and DatePartitionEnabled exclude': { PreserveTransactions: true, CdcPath: 'tx', DatePartitionEnabled: true },
    'CdcPath means nothing without': { CdcPath: 'tx' },
    'CsvDelimiter is ""': { DataFormat: 'csv', CsvDelimiter: '' },
    'CsvDelimiter is "||"': { DataFormat: 'csv', CsvDelimiter: '||' },
    'CsvDelimiter is "-"': { DataFormat: 'csv', CsvDelimiter: '-' },
    'CsvRowDelimiter is ";"': { DataFormat: 'csv', CsvRowDelimiter: ';' },
    'CsvNullValue is ""': { DataFormat: 'csv', CsvNullValue: '' },
    'CsvNullValue is "0"': { DataFormat: 'csv', CsvNullValue: '0' },
    'CsvNullValue is "false"': { DataFormat: 'csv', CsvNullValue: 'false' },
    'CsvNullValue is "9999-12-31"': { DataFormat: 'csv', CsvNullValue: '9999-12-31' },
    'CsvNullValue is "a,b"': { DataFormat: 'csv', CsvNullValue: 'a,b' },
    'CsvNoSupValue is "~NULL~"': { DataFormat: 'csv', CsvNoSupValue: '~NULL~' },
    'DataFormat is "orc"': { DataFormat: 'orc' },
    'Delimiter is no setting': { Delimiter: ',' },
  };
  for (const [said, output] of Object.entries(wrong))
    test(said, () => {
      expect(() => completeOutput(output as S3Output)).toThrow(said);
      expect(() => completeOutput(output as S3Output)).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
    });
});

import { describe, expect, test } from 'vitest';
import { completeOutput, outputDifferences, type S3Output, s3Settings } from './output.ts';
import { settingProblems, taskSettings } from './task-settings.ts';

test('Parquet is what an endpoint is recommended to write', () => {
  expect(s3Settings({}, { bucket: 'lake', folder: 'dms/' })).toEqual({
    BucketName: 'lake',
    BucketFolder: 'dms',
    DataFormat: 'parquet',
    CompressionType: 'none',
    CdcMaxBatchInterval: 60,
    IncludeOpForFullLoad: true,
    TimestampColumnName: '_dms_ts',
  });
});

test('CSV has names, quotes, and a NULL that is no text', () => {
  expect(completeOutput({ DataFormat: 'csv', CsvDelimiter: '|' })).toMatchObject({
    AddColumnName: true,
    Rfc4180: true,
    CsvDelimiter: '|',
    CsvNullValue: '~NULL~',
    TimestampColumnName: '_dms_ts',
  });
});

describe('what DMS refuses, or what could not be read back, is refused where it is written', () => {
  const wrong: Readonly<Record<string, S3Output>> = {
    'needs CdcPath': { PreserveTransactions: true },
    'CSV only': { PreserveTransactions: true, CdcPath: 'tx', DataFormat: 'parquet' },
    'AddColumnName exclude': { PreserveTransactions: true, CdcPath: 'tx', AddColumnName: true },
    'DatePartitionEnabled exclude': { PreserveTransactions: true, CdcPath: 'tx', DatePartitionEnabled: true },
    'means nothing without': { CdcPath: 'tx' },
    'TimestampColumnName is empty': { TimestampColumnName: '' },
    'CsvDelimiter is ""': { DataFormat: 'csv', CsvDelimiter: '' },
    'CsvDelimiter is "||"': { DataFormat: 'csv', CsvDelimiter: '||' },
    'CsvRowDelimiter is ";"': { DataFormat: 'csv', CsvRowDelimiter: ';' },
    'CsvNullValue is ""': { DataFormat: 'csv', CsvNullValue: '' },
  };
  for (const [said, output] of Object.entries(wrong)) test(said, () => expect(() => completeOutput(output)).toThrow(said));
});

test('an endpoint is held against what is read; what makes no difference may differ, and defaults of DMS need not be shown', () => {
  const csv = completeOutput({ DataFormat: 'csv', CsvNullValue: 'NULL' });
  expect(
    outputDifferences(csv, { AddColumnName: true, IncludeOpForFullLoad: true, TimestampColumnName: '_dms_ts', CdcMaxBatchInterval: 5 }),
  ).toEqual([]);
  expect(outputDifferences(csv, { ...csv, CsvRowDelimiter: '\\n', CdcInsertsOnly: true, AddColumnName: false })).toEqual([
    { name: 'AddColumnName', wanted: true, found: false },
    { name: 'CdcInsertsOnly', wanted: false, found: true },
  ]);
  expect(outputDifferences(completeOutput(), { DataFormat: 'csv' }).map(({ name }) => name)).toEqual([
    'DataFormat',
    'IncludeOpForFullLoad',
    'TimestampColumnName',
  ]);
});

test('a task stops rather than leave out a row, and does not batch', () => {
  expect(taskSettings({ lobKilobytes: 64, stopAfterLoad: true })).toMatchObject({
    TargetMetadata: { LimitedSizeLobMode: true, FullLobMode: false, LobMaxSize: 64, BatchApplyEnabled: false },
    FullLoadSettings: { TargetTablePrepMode: 'DROP_AND_CREATE', StopTaskCachedChangesApplied: true, MaxFullLoadSubTasks: 8 },
    ErrorBehavior: { DataErrorPolicy: 'STOP_TASK', DataTruncationErrorPolicy: 'STOP_TASK', TableErrorPolicy: 'STOP_TASK' },
  });
  for (const wrong of [{ lobKilobytes: 0 }, { lobKilobytes: 102_401 }, { tablesAtOnce: 50 }]) expect(() => taskSettings(wrong)).toThrow();
});

test('settings that the reader relies on are looked at in what the task has, and nothing else', () => {
  const wanted = taskSettings();
  expect(settingProblems(wanted, JSON.stringify({ ...wanted, Logging: { EnableLogging: false } }))).toEqual([]);
  expect(settingProblems(wanted, JSON.stringify({ TargetMetadata: { BatchApplyEnabled: true, LobMaxSize: 32 } }))).toEqual([
    'TargetMetadata.BatchApplyEnabled is true and should be false',
    'TargetMetadata.LobMaxSize is 32 and should be 1024',
  ]);
});

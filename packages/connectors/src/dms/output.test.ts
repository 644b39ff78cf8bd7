import { expect, test } from 'vitest';
import { completeOutput, outputDifferences, readingOf, s3Settings } from './output.ts';
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

test('an endpoint is held against what is read; what makes no difference may differ, and defaults of DMS need not be shown', () => {
  const csv = completeOutput({ DataFormat: 'csv', CsvNullValue: 'NULL' });
  expect(
    outputDifferences(csv, {
      AddColumnName: true,
      IncludeOpForFullLoad: true,
      TimestampColumnName: '_dms_ts',
      CdcMaxBatchInterval: 5,
      UseCsvNoSupValue: true,
      CsvNoSupValue: '~UNLOGGED~',
    }),
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

test('what the endpoint writes so that it cannot be read exactly is a difference, whatever was asked for', () => {
  const only = ['CdcInsertsOnly', 'CdcInsertsAndUpdates', 'AddTrailingPaddingCharacter', 'ParquetTimestampInMillisecond'];
  const found = { ...completeOutput(), ...Object.fromEntries(only.map((name) => [name, true])) };
  expect(outputDifferences(completeOutput(), found)).toEqual(only.map((name) => ({ name, wanted: false, found: true })));
});

test('texts that stand in files are held against each other to the letter', () => {
  const csv = completeOutput({ DataFormat: 'csv', CsvNullValue: 'NULL' });
  const names = (found: object): string[] => outputDifferences(csv, { ...csv, ...found }).map(({ name }) => name);
  expect(names({ CsvNullValue: 'null' })).toEqual(['CsvNullValue']);
  expect(names({ TimestampColumnName: '_DMS_TS' })).toEqual(['TimestampColumnName']);
  expect(names({ DataFormat: 'CSV', CdcPath: '' })).toEqual([]);
});

test('transactions may come after a full load in Parquet, which DMS writes as CSV all the same', () => {
  const output = completeOutput({ PreserveTransactions: true, CdcPath: '/tx/', DataFormat: 'parquet' });
  expect(output).toMatchObject({ DataFormat: 'parquet', CsvDelimiter: ',', CsvNullValue: '~NULL~' });
  expect(readingOf(output)).toMatchObject({ format: 'parquet', transactions: 'tx/', csv: { header: false } });
});

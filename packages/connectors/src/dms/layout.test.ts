import { describe, expect, test } from 'vitest';
import { fileIn, transactionFile } from './layout.ts';
import { completeOutput, readingOf, type S3Output } from './output.ts';

const folder = 'public/orders/';
const reading = (output: S3Output = {}) => readingOf(completeOutput(output));
const parts = { YYYY: '2026', MM: '03', DD: '29', HH: '08' } as const;

describe('changes are found in folders of dates, in every sequence and with every delimiter', () => {
  const partitioned = reading({ DatePartitionEnabled: true });
  const delimiters = { SLASH: '/', UNDERSCORE: '_', DASH: '-', NONE: '' };
  for (const sequence of ['YYYYMMDD', 'YYYYMMDDHH', 'YYYYMM', 'MMYYYYDD', 'DDMMYYYY'])
    for (const [name, delimiter] of Object.entries(delimiters))
      test(`${sequence} ${name}`, () => {
        const names = sequence.match(/YYYY|MM|DD|HH/g) as (keyof typeof parts)[];
        const key = `${folder}${names.map((part) => parts[part]).join(delimiter)}/20260329-080100123.csv.gz`;
        expect(fileIn(folder, key, partitioned)).toEqual({
          kind: 'changes',
          key,
          stamp: '20260329080100123000000',
          format: 'csv',
          codec: 'gzip',
        });
        expect(fileIn(folder, key, reading())).toBeNull();
      });
});

test.each([
  ['LOAD00000001.csv', { kind: 'load', format: 'csv', codec: 'none' }],
  ['LOAD0000000F.csv.gz', { kind: 'load', format: 'csv', codec: 'gzip' }],
  ['LOAD00000010.parquet', { kind: 'load', format: 'parquet', codec: 'none' }],
  ['20141029-1134010000.csv', { kind: 'changes', stamp: '20141029113401000000000' }],
  ['20141029-113401000.parquet', { kind: 'changes', format: 'parquet' }],
])('%s is a file of DMS', (name, file) => expect(fileIn(folder, folder + name, reading())).toMatchObject(file));

test.each(['README', 'LOAD00000001.csv.tmp', '20141029.csv', 'sub/LOAD00000001.csv', '2014/10/29/20141029-113401000.csv', 'LOADED.csv'])(
  '%s is none',
  (name) => expect(fileIn(folder, folder + name, reading())).toBeNull(),
);

test('files of transactions are in the order of their names, whatever the number of their digits', () => {
  const stamps = ['CDC_TXN-20201117153046033.csv', 'CDC_TXN-202011171530460331.csv.gz', 'CDC_TXN-20201117153047.csv'].map(
    (name) => transactionFile('tx/', `tx/${name}`)?.kind === 'changes' && (transactionFile('tx/', `tx/${name}`) as { stamp: string }).stamp,
  );
  expect(stamps).toEqual([...stamps].sort());
  expect(transactionFile('tx/', 'tx/CDC_TXN-2020.csv')).toBeNull();
  expect(transactionFile('tx/', 'tx/CDC_TXN-20201117153046033.parquet')).toBeNull();
});

import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { batchOfRows, type ColumnBatch, encodeCsv, rowsOf } from '../batch/index.ts';
import type { BytesChannel, WireFormat } from '../connector/index.ts';
import { int4, table, text } from '../schema/index.ts';
import { stageOf } from '../testing/plans.ts';
import { batchesOf, channelOf, openRoute } from './route.ts';

const planned = (format: WireFormat) => stageOf('s', [], { read: format, write: format });
const schema = table('t', { id: int4(), note: text().orNull() });
const rows = [
  { id: 1, note: 'a,"b"\n' },
  { id: 2, note: null },
  { id: 3, note: '' },
];

describe('the way between two open ends', () => {
  it.each<[string, WireFormat, WireFormat[], WireFormat[], boolean, object]>([
    [
      'is the planned one',
      'pgcopy-binary',
      ['pgcopy-binary', 'csv'],
      ['pgcopy-binary', 'csv'],
      false,
      { read: 'pgcopy-binary', note: null },
    ],
    [
      'is the next best where the source offers less',
      'pgcopy-binary',
      ['csv', 'batches'],
      ['pgcopy-binary', 'csv'],
      false,
      { read: 'csv', write: 'csv', note: expect.stringContaining('reads csv') },
    ],
    ['goes through batches where they share nothing', 'csv', ['csv'], ['batches'], false, { read: 'csv', write: 'batches' }],
    [
      'goes through batches where rows must be seen',
      'csv',
      ['csv', 'batches'],
      ['csv', 'batches'],
      true,
      { read: 'batches', write: 'batches' },
    ],
    ['writes CSV of batches where the target wants that', 'batches', ['batches'], ['csv'], false, { read: 'batches', write: 'csv' }],
  ])('%s', (_, format, offers, accepts, batches, expected) => {
    expect(openRoute(planned(format), offers, accepts, batches)).toMatchObject(expected);
  });

  it('is not there where nobody can convert', () => {
    expect(() => openRoute(planned('pgcopy-binary'), ['pgcopy-binary'], ['csv'], false)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED' }),
    );
  });
});

async function* once(): AsyncGenerator<ColumnBatch, void, undefined> {
  yield batchOfRows(schema, rows);
}

async function collect(batches: AsyncIterable<ColumnBatch>): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const batch of batches) found.push(...rowsOf(batch));
  return found;
}

describe('a channel', () => {
  it('of batches becomes CSV and comes back', async () => {
    const csv = channelOf({ format: 'batches', schema, batches: once() }, 'csv') as BytesChannel;
    expect(await collect(batchesOf(csv))).toEqual(rows);
    expect(await csv.done).toEqual({ rows: 3 });
  });

  it('of CSV whose source has sent more rows than have come is corrupt', async () => {
    const csv: BytesChannel = {
      format: 'csv',
      schema,
      stream: Readable.from(encodeCsv(schema, once())),
      done: Promise.resolve({ rows: 4 }),
    };
    await expect(collect(batchesOf(csv))).rejects.toMatchObject({ code: 'WIRE_CORRUPT' });
  });

  it('of CSV whose source has broken off at the end of a row fails', async () => {
    const done = Promise.reject(new Error('broke off'));
    done.catch(() => {});
    const csv: BytesChannel = { format: 'csv', schema, stream: Readable.from(encodeCsv(schema, once())), done };
    await expect(collect(batchesOf(csv))).rejects.toThrow('broke off');
  });

  it('of batches that break off breaks off as CSV', async () => {
    async function* broken(): AsyncGenerator<ColumnBatch, void, undefined> {
      yield* once();
      throw new Error('broke off');
    }
    const csv = channelOf({ format: 'batches', schema, batches: broken() }, 'csv') as BytesChannel;
    await expect(collect(batchesOf(csv))).rejects.toThrow('broke off');
    await expect(csv.done).rejects.toThrow('broke off');
  });
});

import { int8, numeric, table, text, timestamptz } from '@millrace/core';
import { isMillraceError } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMariaDb } from '../../../../../scripts/mariadb.mjs';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { type TestBucket, testBucket } from '../../../../../test/s3.ts';
import { type Aurora, auroraBefore } from '../../../test/aurora.ts';
import { loadRows, type Row, testContext } from '../../../test/load.ts';
import { s3 } from '../../s3/index.ts';
import { openStorage } from '../../s3/open-storage.ts';
import { StagingArea } from '../../s3/staging-area.ts';
import { mysql } from '../index.ts';

const orders = table('orders', { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() }, { key: ['id'] });
const order = (id: number, total = '1.00', note: string | null = null): Row => ({
  id: BigInt(id),
  total,
  note,
  updated_at: '2026-03-01T00:00:00.000000Z',
});
const code = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (isMillraceError(error) ? `${error.code}: ${error.message} ${error.remedy}` : String(error)),
  );

const mariadb = findMariaDb();
describe.skipIf('missing' in mariadb)(`an Aurora reads files from S3${'missing' in mariadb ? ` (${mariadb.missing})` : ''}`, () => {
  let server: MariaDbServer;
  let bucket: TestBucket;
  let aurora: Aurora;
  let isAllowed = true;
  beforeAll(async () => {
    [server, bucket] = await Promise.all([mariaDbServer(), testBucket()]);
    aurora = await auroraBefore(server, async (place) => {
      if (!isAllowed) return null;
      await using storage = await openStorage(bucket.url, settings(), testContext());
      return storage.read(place.replace(`s3-${bucket.region}://${bucket.bucket}/${bucket.prefix}/`, ''));
    });
  });
  afterAll(async () => {
    await aurora?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    await bucket?.[Symbol.asyncDispose]();
  });

  const settings = () => ({ region: bucket.region, endpoint: bucket.endpoint, credentials: bucket.credentials });
  const lake = () => s3({ url: bucket.url, ...settings() });
  const place = () => openStorage(bucket.url, settings(), testContext());
  const left = async (): Promise<string[]> => {
    await using storage = await place();
    const keys: string[] = [];
    for await (const { key } of storage.list('')) keys.push(key);
    return keys;
  };

  test('rows come as files, which are gone afterwards', async () => {
    const db = await server.database();
    aurora.read.length = 0;
    const target = mysql({ url: `${aurora.through(db.url)}?ssl-mode=DISABLED` }).table(orders, {
      mode: 'merge',
      schema: 'create',
      staging: lake(),
    });
    await loadRows(target, { id: 'a', splits: [[order(1), order(2, '2.50', 'a\tb\\\n')], [order(3)]] });
    expect(await db.sql('select id, total, note from orders order by id')).toEqual([
      { id: '1', total: '1.00', note: null },
      { id: '2', total: '2.50', note: 'a\tb\\\n' },
      { id: '3', total: '1.00', note: null },
    ]);
    expect(aurora.read.map(({ lines }) => lines)).toEqual([2, 1]);
    expect(aurora.read[0]?.place).toMatch(
      new RegExp(`^s3-us-east-1://${bucket.bucket}/lake/_millrace/staging/[0-9a-f]{24}/\\d{20}/[0-9a-f-]{36}\\.tsv$`),
    );
    expect(await left()).toEqual([]);
  });

  test('a load of more than one file holds each row once', async () => {
    const db = await server.database();
    aurora.read.length = 0;
    const note = 'x'.repeat(100_000);
    const target = mysql({ url: aurora.through(db.url) }).table(orders, { mode: 'append', schema: 'create', staging: lake() });
    await loadRows(target, { id: 'wide', each: 100, splits: [Array.from({ length: 800 }, (_, id) => order(id, '1.00', note))] });
    expect(aurora.read.length).toBe(2);
    expect(await db.sql('select count(*) n, count(distinct id) d, sum(length(note)) bytes from orders')).toEqual([
      { n: '800', d: '800', bytes: '80000000' },
    ]);
    expect(await left()).toEqual([]);
  });

  test('a value that does not fit, and an S3 that refuses, end the load with their reason, and leave no file', async () => {
    const db = await server.database();
    await db.sql(
      'create table orders (id bigint primary key, total decimal(12,2) not null, note varchar(3), updated_at timestamp(6) null)',
    );
    const narrow = table(
      'orders',
      { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz().orNull() },
      { key: ['id'] },
    );
    await db.sql('alter table orders modify note longtext, add constraint short check (total < 100)');
    const target = mysql({ url: aurora.through(db.url) }).table(narrow, { mode: 'append', staging: lake() });
    expect(await code(loadRows(target, { id: 'bad', splits: [[order(1), order(2, '100.00')]] }))).toMatch(/^TYPE_MISMATCH: .*short/);
    isAllowed = false;
    expect(await code(loadRows(target, { id: 'refused', splits: [[order(1)]] }))).toMatch(/^ACCESS_DENIED: .*S3 API.*aws_default_s3_role/);
    isAllowed = true;
    expect(await db.sql('select * from orders')).toEqual([]);
    expect(await left()).toEqual([]);
  });

  test('what an attempt that died has left is taken away by the next', async () => {
    const db = await server.database();
    const target = mysql({ url: aurora.through(db.url) }).table(orders, { mode: 'append', schema: 'create', staging: lake() });
    const owner = { pipeline: 'nightly', step: 'facts' };
    {
      await using storage = await openStorage(bucket.url, settings(), testContext(), '_millrace/staging/');
      const area = new StagingArea(storage, testContext(), owner, { key: 'run-1/load', epoch: 1 });
      await storage.write(area.key('tsv'), 'left');
    }
    expect((await left()).length).toBe(1);
    await loadRows(target, { id: 'next', epoch: 2, splits: [[order(1)]] });
    expect(await left()).toEqual([]);
  });

  test('a server that is none is sent its rows; a directory is no place for one that is', async () => {
    const db = await server.database();
    aurora.read.length = 0;
    const options = { mode: 'append', schema: 'create' } as const;
    await loadRows(mysql({ url: db.url }).table(orders, { ...options, staging: lake() }), { id: 'plain', splits: [[order(1)]] });
    expect([await db.sql('select id from orders'), aurora.read]).toEqual([[{ id: '1' }], []]);
    const here = mysql({ url: aurora.through(db.url) }).table(orders, { ...options, staging: s3({ url: 'file:/tmp/here' }) });
    expect(await code(loadRows(here, { id: 'here', epoch: 2, splits: [[order(2)]] }))).toMatch(/^CONFIG_INVALID: .*directory.*s3:\/\//);
  });
});

import { int4, table, text } from '@millrace/core';
import type { Position } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { begin, readToEnd, stream } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';

const items = table('items', { id: int4(), body: text().orNull() }, { key: ['id'] });
const capture = (database: TestDatabase) => postgres({ url: database.url }).capture({ items }, { heartbeat: '200ms' });

async function shelf(server: LogicalServer): Promise<TestDatabase> {
  const database = await server.database();
  await database.sql('create table items (id int4 primary key, body text); create table noise (body text)');
  return database;
}
/** Fills whole segments (of one megabyte). */
const noise = (database: TestDatabase, megabytes: number) =>
  database.sql(`insert into noise select repeat('n', 1000) from generate_series(1, ${megabytes * 1000})`);

test.for([14, 16, 18] as const)('a slot of version %i that the server took the log of says so, and what to type', async (version) => {
  await using server = await logicalServer({
    version,
    settings: { max_slot_wal_keep_size: '4MB', min_wal_size: '2MB', max_wal_size: '4MB' },
  });
  await using database = await shelf(server);
  const { source } = await begin(capture(database), testContext());
  await using _source = source;
  expect((await source.health()).budgetBytes).toBeGreaterThan(2 ** 20);
  await noise(database, 3);
  expect((await source.health()).warnings).toEqual([expect.stringMatching(/^The slot holds \d\d % of the log it may hold/)]);
  await noise(database, 12);
  await database.sql('checkpoint');
  await expect(source.stream()).rejects.toMatchObject({
    code: 'RESYNC_REQUIRED',
    message: expect.stringContaining('max_slot_wal_keep_size'),
    remedy: expect.stringContaining('millrace resync shop'),
  });
  const { snapshot } = await source.create();
  expect((await source.stream())?.confirmed).toBe(snapshot.position);
  await snapshot[Symbol.asyncDispose]();
});

test('a source that was restored to an older state with its slot is told', async () => {
  await using server = await logicalServer({ version: 18 });
  const database = await shelf(server);
  const { source, position } = await begin(capture(database), testContext());
  await database.sql('insert into items values (1)');
  await source[Symbol.asyncDispose]();
  await server.stop();
  await using old = await logicalServer({ version: 18, from: server.data });
  await server.start();
  await database.sql('insert into items values (2)');
  await using ahead = await capture(database).open(testContext(), stream);
  const groups = await readToEnd(ahead, position);
  const after = groups.at(-1)?.position as Position;

  const restored = { url: old.url.replace(/\/postgres$/, `/${database.name}`) };
  await using source2 = await postgres(restored).capture({ items }).open(testContext(), stream);
  const status = await source2.stream();
  expect(status?.identity).toEqual((await ahead.stream())?.identity);
  expect((status?.end ?? '') < after).toBe(true);
  await expect(
    source2
      .read(after, { signal: AbortSignal.timeout(5_000) })
      [Symbol.asyncIterator]()
      .next(),
  ).rejects.toMatchObject({
    code: 'RESYNC_REQUIRED',
    message: expect.stringContaining('restored to an older state'),
  });
});

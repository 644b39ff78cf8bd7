import { int4, table, text } from '@millrace/core';
import type { ChangeSource, Position } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { begin, readToEnd, seeGroup, stream } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';

const items = table('items', { id: int4(), body: text().orNull() }, { key: ['id'] });
const capture = (database: TestDatabase) => postgres({ url: database.url }).capture({ items }, { heartbeat: '200ms' });

async function shelf(server: LogicalServer): Promise<TestDatabase> {
  const database = await server.database();
  await database.sql('create table items (id int4 primary key, body text); create table noise (body text)');
  return database;
}
const ids = async (source: ChangeSource, after: Position): Promise<unknown[]> =>
  (await readToEnd(source, after)).flatMap(({ changes }) => changes.flatMap((change) => ('row' in change ? [change.row['id']] : [])));
/** Fills whole segments (of one megabyte). */
const noise = (database: TestDatabase, megabytes: number) =>
  database.sql(`insert into noise select repeat('n', 1000) from generate_series(1, ${megabytes * 1000})`);

describe.for([14, 18] as const)('version %i', (version) => {
  let server: LogicalServer;
  beforeAll(async () => {
    server = await logicalServer({ version });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  test('the source keeps what was not released, and nothing more', async () => {
    await using database = await shelf(server);
    const { source, position } = await begin(capture(database), testContext());
    await database.sql(`insert into items values (1), (2)`);
    const groups = await readToEnd(source, position);
    const end = groups.at(-1)?.position as Position;
    expect((await source.stream())?.confirmed).toBe(position);
    await source[Symbol.asyncDispose]();

    {
      await using again = await capture(database).open(testContext(), stream);
      expect(await ids(again, position)).toEqual([1, 2]);
    }
    await using again = await capture(database).open(testContext(), stream);
    again.release(end);
    const stop = new AbortController();
    const reading = (async () => {
      for await (const group of again.read(end, { signal: stop.signal })) await seeGroup(group);
    })();
    await expect.poll(async () => (await again.stream())?.confirmed, { timeout: 5_000 }).toBe(end);
    stop.abort();
    await reading;
    await again[Symbol.asyncDispose]();
    await using behind = await capture(database).open(testContext(), stream);
    await expect(ids(behind, position)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED', facts: { position } });
  });

  test('an attempt that wakes up late leaves the stream of a later one alone, and what it has left is dropped', async () => {
    await using database = await shelf(server);
    await using late = await capture(database).open(testContext(), stream, 1);
    const slots = async () => (await database.sql('select slot_name as name from pg_replication_slots where not temporary')).length;
    await (await late.create()).snapshot[Symbol.asyncDispose]();

    await using newer = await capture(database).open(testContext(), stream, 2);
    const { identity, snapshot } = await newer.create();
    await snapshot[Symbol.asyncDispose]();
    expect(await slots()).toBe(1);
    await expect(late.create()).rejects.toMatchObject({ code: 'ATTEMPT_FENCED', facts: { slot: identity.slot } });
    expect((await newer.stream())?.identity).toEqual(identity);

    // As it would be left by one that had looked a moment earlier, and was killed.
    const stray = identity.slot.replace(/_[0-9a-z]{11}$/, `_${'1'.padStart(11, '0')}`);
    await database.sql('select pg_create_logical_replication_slot($1, $2)', [stray, 'pgoutput']);
    expect((await newer.stream())?.identity).toEqual(identity);
    await database.sql('insert into items values (1)');
    expect(await ids(newer, snapshot.position)).toEqual([1]);
    expect(await slots()).toBe(1);
  });

  test('a quiet stream moves on with the log of other tables, so that the server need not keep it', async () => {
    await using database = await shelf(server);
    const { source, position } = await begin(capture(database), testContext());
    await using _source = source;
    const before = (await source.health()).retainedBytes;
    const stop = new AbortController();
    let last = position;
    const reading = (async () => {
      for await (const group of source.read(position, { signal: stop.signal })) {
        expect(group.transactions).toEqual([]);
        last = group.position();
        source.release(last);
      }
    })();
    await noise(database, 8);
    await expect.poll(() => last > position, { timeout: 8_000 }).toBe(true);
    await database.sql('checkpoint');
    await expect
      .poll(
        async () => {
          await database.sql('select pg_switch_wal()');
          await noise(database, 1);
          return (await source.stream())?.confirmed as Position;
        },
        { timeout: 12_000, interval: 500 },
      )
      .toSatisfy((confirmed: Position) => confirmed > position);
    const health = await source.health();
    expect(health).toMatchObject({ state: 'reserved', spooledBytes: 0, budgetBytes: null, warnings: [] });
    expect(health.growthPerSecond).toBeGreaterThan(0);
    expect(health.retainedBytes).toBeLessThan(before + 16 * 2 ** 20);
    stop.abort();
    await reading;
  });

  test('a slot that another process reads is waited for, and told as busy', async () => {
    await using database = await shelf(server);
    const { source, position } = await begin(capture(database), testContext());
    const first = source.read(position, { signal: AbortSignal.timeout(20_000) })[Symbol.asyncIterator]();
    await database.sql('insert into items values (1)');
    await first.next();
    await using twin = await capture(database).open(testContext(), stream);
    setTimeout(() => void source[Symbol.asyncDispose](), 1_500);
    expect(await ids(twin, position)).toEqual([1]);
  });

  test('a slot that is gone, or was made again by somebody else, must be made anew', async () => {
    await using database = await shelf(server);
    const { source, position } = await begin(capture(database), testContext());
    const status = await source.stream();
    await database.sql('insert into items values (1)');
    const slot = status?.identity.slot ?? '';
    await database.sql('select pg_drop_replication_slot($1)', [slot]);
    expect(await source.stream()).toBeNull();
    await expect(ids(source, position)).rejects.toMatchObject({
      code: 'RESYNC_REQUIRED',
      remedy: expect.stringContaining('millrace resync shop'),
    });

    await database.sql(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
    const remade = await source.stream();
    expect(remade?.identity).toEqual(status?.identity);
    expect((remade?.confirmed ?? '') > position).toBe(true);
    const { signal } = new AbortController();
    await expect(source.read(position, { signal })[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'RESYNC_REQUIRED' });
    const { identity, snapshot } = await source.create();
    expect(identity).not.toEqual(status?.identity);
    expect(await database.sql('select slot_name from pg_replication_slots where database = current_database()')).toEqual([
      { slot_name: identity.slot },
    ]);
    await snapshot[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
  });
});

import { enumeration, int4, table, text } from '@millrace/core';
import type { ChangeSource, Position } from '@millrace/core/runtime';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { begin, brief, pause, readToEnd, seeGroup, stream } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';

/* What somebody does at the source while it is followed, and of which the stream says nothing, or too much. */
const people = table('people', { id: int4(), name: text().orNull() }, { key: ['id'] });
const own = 'millrace_shop__changes';

describe.for([14, 18] as const)('version %i', (version) => {
  let server: LogicalServer;
  beforeAll(async () => {
    // Commits wait for nobody, but for those that ask to.
    server = await logicalServer({ version, settings: { synchronous_standby_names: 'nobody', synchronous_commit: 'local' } });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });
  const withPeople = async (more = ''): Promise<TestDatabase> => {
    const database = await server.database();
    await database.sql(`create table people (id int4 primary key, name text); ${more}`);
    return database;
  };
  const all = async (source: ChangeSource, after: Position): Promise<unknown[]> =>
    brief((await readToEnd(source, after)).flatMap(({ changes }) => changes));

  const everything = 'create publication everything for all tables with (publish_via_partition_root)';
  test.for([
    {
      does: 'alter table people rename to persons; create table people (id int4 primary key, name text)',
      told: { code: 'RESYNC_REQUIRED', message: /dropped and made again/ },
    },
    {
      does: 'alter table people rename to persons',
      told: { code: 'TABLE_MISSING', message: /another name/ },
      mends: 'alter table persons rename to people',
    },
    { does: `alter publication ${own} drop table people`, told: { code: 'RESYNC_REQUIRED', message: /not published/ } },
    {
      does: `alter publication ${own} set (publish = 'insert, update')`,
      told: { code: 'RESYNC_REQUIRED', message: /leaves out delete, truncate/ },
    },
    {
      before: everything,
      does: "alter publication everything set (publish = 'insert, update, delete')",
      told: { code: 'RESYNC_REQUIRED', message: /leaves out truncate/ },
      later: "alter publication everything set (publish = 'insert, update, delete, truncate')",
    },
    {
      before: everything,
      does: 'alter table people set unlogged',
      told: { code: 'RESYNC_REQUIRED', message: /unlogged/ },
      later: 'alter table people set logged',
    },
  ])(
    '$does: a stream under way ends with the reason, and does not go on as if nothing had been',
    async ({ before, does, told, later, mends }) => {
      await using database = await withPeople(before);
      const capture = postgres({ url: database.url }).capture({ people }, before ? { publication: 'everything' } : {});
      const { source, position } = await begin(capture, testContext());
      await using _source = source;
      const reading = source.read(position, { signal: AbortSignal.timeout(20_000) })[Symbol.asyncIterator]();
      await database.sql('insert into people values (1)');
      expect((await reading.next()).value?.transactions).toHaveLength(1);
      await source.health();
      await database.sql(does);
      const error = { code: told.code, message: expect.stringMatching(told.message) };
      const next = reading.next();
      next.catch(() => {});
      await expect(source.health()).rejects.toMatchObject(error);
      await expect(next).rejects.toMatchObject(error);
      await source[Symbol.asyncDispose]();
      if (later) await database.sql(later);
      if (mends) await database.sql(mends);
      await using again = await capture.open(testContext(), stream);
      if (mends) expect(await all(again, position)).toHaveLength(1);
      else await expect(all(again, position)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED' });
    },
  );

  test('labels that an enum gets, and other names for them, are told before rows have them', async () => {
    const moods = table('moods', { id: int4(), mood: enumeration('mood', ['sad', 'ok']).orNull() }, { key: ['id'] });
    await using database = await server.database();
    await database.sql("create type mood as enum ('sad', 'ok'); create table moods (id int4 primary key, mood mood)");
    const { source, position } = await begin(postgres({ url: database.url }).capture({ moods }), testContext());
    await using _source = source;
    const seen: unknown[] = [];
    const stop = new AbortController();
    const reading = (async () => {
      for await (const group of source.read(position, { signal: stop.signal })) seen.push(...brief((await seeGroup(group)).changes));
    })();
    for (const statement of [
      "insert into moods values (1, 'ok')",
      "alter type mood add value 'happy' before 'ok'",
      "insert into moods values (2, 'happy')",
      "alter type mood rename value 'ok' to 'fine'",
    ]) {
      const before = seen.length;
      await database.sql(statement);
      await expect.poll(() => seen.length, { timeout: 20_000 }).toBeGreaterThan(before);
    }
    stop.abort();
    await reading;
    const retyped = (labels: readonly string[]) => ({
      op: 'schema',
      table: 'moods',
      changes: [
        expect.objectContaining({ change: 'retype', to: expect.objectContaining({ type: { kind: 'enum', name: 'mood', labels } }) }),
      ],
    });
    expect(seen).toEqual([
      { op: 'insert', table: 'moods', row: { id: 1, mood: 'ok' } },
      retyped(['sad', 'happy', 'ok']),
      { op: 'insert', table: 'moods', row: { id: 2, mood: 'happy' } },
      retyped(['sad', 'happy', 'fine']),
    ]);
  });

  test('messages that look like those of the trigger, and are none, change nothing', async () => {
    await using database = await withPeople();
    const { source, position } = await begin(postgres({ url: database.url }).capture({ people }), testContext());
    await using _source = source;
    await database.sql(`select pg_logical_emit_message(true, 'millrace_ddl', json_build_object('oid', 'people'::regclass::oid::int8, 'before', null,
      'columns', json_build_array(json_build_object('number', 1, 'name', 'id', 'type', 23, 'modifier', -1)))::text)`);
    for (const said of ['null', '{', '{"oid": "x"}']) await database.sql(`select pg_logical_emit_message(true, 'millrace_ddl', '${said}')`);
    await database.sql("insert into people values (1, 'a')");
    expect(await all(source, position)).toEqual([{ op: 'insert', table: 'people', row: { id: 1, name: 'a' } }]);
  });

  test('a column is looked up once its transaction can be seen, which is later than it comes in the stream', async () => {
    await using database = await withPeople();
    const capture = postgres({ url: database.url }).capture({ people }, { announceColumns: false });
    const { source, position } = await begin(capture, testContext());
    await using _source = source;
    const slow = new pg.Client({ connectionString: database.url });
    await slow.connect();
    // Its commit is in the log, and waits for a standby that there is not.
    const waits = slow.query(
      `set synchronous_commit = on; begin; alter table people add city text default 'Bern'; insert into people (id) values (1); commit`,
    );
    await expect.poll(() => database.sql("select pid from pg_stat_activity where wait_event = 'SyncRep'")).toHaveLength(1);
    const changes = all(source, position);
    changes.catch(() => {});
    await pause(400);
    await database.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
    await waits;
    await slow.end();
    expect(await changes).toEqual([
      {
        op: 'schema',
        table: 'people',
        changes: [{ change: 'add', column: { name: 'city', type: { kind: 'text' }, nullable: true }, fill: 'Bern' }],
      },
      { op: 'insert', table: 'people', row: { id: 1, name: null, city: 'Bern' } },
    ]);
  });
});

import { int4, table, text } from '@millrace/core';
import type { ChangeSource, Position } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { begin, brief, readToEnd, stream } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';
import { triggerName } from './ddl-trigger.ts';

const people = table('people', { id: int4(), name: text().orNull() }, { key: ['id'] });
const nullableText = { type: { kind: 'text' }, nullable: true };

describe.for([
  [14, true],
  [18, true],
  [16, false],
] as const)('version %i, announced by the trigger: %s', ([version, announceColumns]) => {
  let server: LogicalServer;
  beforeAll(async () => {
    server = await logicalServer({ version });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  async function opened(): Promise<{
    database: TestDatabase;
    open: (declared?: typeof people) => Promise<ChangeSource>;
    source: ChangeSource;
    position: Position;
  }> {
    const database = await server.database();
    await database.sql(`create table people (id int4 primary key, secret text default 's', name text)`);
    const capture = (declared = people) => postgres({ url: database.url }).capture({ people: declared }, { announceColumns });
    const { source, position } = await begin(capture(), testContext());
    expect(await database.sql('select evtname from pg_event_trigger')).toEqual(announceColumns ? [{ evtname: triggerName }] : []);
    return { database, source, position, open: (declared) => capture(declared).open(testContext(), stream) };
  }
  const all = async (source: ChangeSource, after: Position) => brief((await readToEnd(source, after)).flatMap(({ changes }) => changes));

  test('added, renamed, retyped and dropped columns come between the rows they belong between, and again when the stream is read again', async () => {
    const { database, source, position, open } = await opened();
    await using _database = database;
    const steps = [
      `insert into people (id, name) values (1, 'a')`,
      `alter table people add city text default 'Bern'`,
      `insert into people (id, name) values (2, 'b')`,
      'alter table people rename name to full_name',
      `insert into people (id, full_name, city) values (3, 'c', null)`,
      'alter table people alter id type int8',
      `insert into people (id, full_name) values (4, 'd')`,
      'alter table people drop full_name',
      'insert into people (id) values (5)',
    ];
    const expected = [
      { op: 'insert', table: 'people', row: { id: 1, name: 'a' } },
      { op: 'schema', table: 'people', changes: [{ change: 'add', column: { name: 'city', ...nullableText }, fill: 'Bern' }] },
      { op: 'insert', table: 'people', row: { id: 2, name: 'b', city: 'Bern' } },
      { op: 'schema', table: 'people', changes: [{ change: 'rename', from: 'name', to: 'full_name' }] },
      { op: 'insert', table: 'people', row: { id: 3, full_name: 'c', city: null } },
      {
        op: 'schema',
        table: 'people',
        changes: [
          {
            change: 'retype',
            name: 'id',
            from: { name: 'id', type: { kind: 'int4' }, nullable: false },
            to: { name: 'id', type: { kind: 'int8' }, nullable: false },
          },
        ],
      },
      { op: 'insert', table: 'people', row: { id: 4n, full_name: 'd', city: 'Bern' } },
      { op: 'schema', table: 'people', changes: [{ change: 'drop', name: 'full_name' }] },
      { op: 'insert', table: 'people', row: { id: 5n, city: 'Bern' } },
    ];
    // Step by step, so that without the trigger the catalog is where the stream is.
    const seen: unknown[] = [];
    const stop = new AbortController();
    const reading = (async () => {
      for await (const group of source.read(position, { signal: stop.signal })) {
        const { seeGroup } = await import('../../../test/changes.ts');
        seen.push(...brief((await seeGroup(group)).changes));
      }
    })();
    let rows = 0;
    for (const step of steps) {
      await database.sql(step);
      if (!step.startsWith('insert')) continue;
      rows++;
      await expect.poll(() => seen.filter((change) => (change as { op: string }).op === 'insert').length).toBe(rows);
    }
    stop.abort();
    await reading;
    expect(seen).toEqual(expected);

    await source[Symbol.asyncDispose]();
    await using again = await open();
    const replayed = await all(again, position);
    // Without the trigger a stream that is behind the catalog does not know what a name of long ago has become.
    if (announceColumns) expect(replayed).toEqual(expected);
    else
      expect(
        replayed
          .filter((change) => (change as { op: string }).op === 'insert')
          .map((change) => (change as { row: { id: unknown } }).row.id),
      ).toEqual([1, 2, 3, 4n, 5n]);
  });

  test('a stream that goes on after a change tells it again first, so that whoever has it already does nothing', async () => {
    const { database, source, position, open } = await opened();
    await using _database = database;
    await database.sql('alter table people add city text; alter table people rename name to full_name');
    await database.sql(`insert into people (id, full_name, city) values (1, 'a', 'x')`);
    const groups = await readToEnd(source, position);
    const after = groups.at(-1)?.position as Position;
    await source[Symbol.asyncDispose]();
    await database.sql(`insert into people (id, full_name, city) values (2, 'b', 'y')`);
    const changes = [
      { change: 'rename', from: 'name', to: 'full_name' },
      { change: 'add', column: { name: 'city', ...nullableText }, fill: null },
    ];
    {
      await using again = await open();
      expect(await all(again, after)).toEqual([
        { op: 'schema', table: 'people', changes },
        { op: 'insert', table: 'people', row: { id: 2, full_name: 'b', city: 'y' } },
      ]);
    }
    // Once the declaration says so too, there is nothing to tell; and a stream that is still before the change is not led back.
    const later = table(
      'people',
      { id: int4(), full_name: text().orNull(), city: text().orNull() },
      { key: ['id'] },
    ) as unknown as typeof people;
    {
      await using again = await open(later);
      expect(await all(again, after)).toEqual([{ op: 'insert', table: 'people', row: { id: 2, full_name: 'b', city: 'y' } }]);
    }
    await using again = await open(later);
    expect(await all(again, position)).toEqual([
      { op: 'insert', table: 'people', row: { id: 1, full_name: 'a', city: 'x' } },
      { op: 'insert', table: 'people', row: { id: 2, full_name: 'b', city: 'y' } },
    ]);
  });

  test('a column with a value of its own in each row says so; undeclared columns of old stay out', async () => {
    const { database, source, position } = await opened();
    await using _database = database;
    await database.sql(`alter table people add token uuid not null default gen_random_uuid()`);
    await database.sql(`insert into people (id, token) values (1, 'c0ffee00-0000-4000-8000-000000000001')`);
    expect(await all(source, position)).toEqual([
      {
        op: 'schema',
        table: 'people',
        changes: [{ change: 'add', column: { name: 'token', type: { kind: 'uuid' }, nullable: false }, fill: null, computed: true }],
      },
      { op: 'insert', table: 'people', row: { id: 1, name: null, token: 'c0ffee00-0000-4000-8000-000000000001' } },
    ]);
    await source[Symbol.asyncDispose]();
  });

  test('a column of old that is declared now was not copied: the table must be', async () => {
    const { database, source, position, open } = await opened();
    await using _database = database;
    await source[Symbol.asyncDispose]();
    const more = table(
      'people',
      { id: int4(), name: text().orNull(), secret: text().orNull() },
      { key: ['id'] },
    ) as unknown as typeof people;
    await using again = await open(more);
    await expect(all(again, position)).rejects.toMatchObject({
      code: 'RESYNC_REQUIRED',
      remedy: expect.stringContaining('--table people'),
    });
    await using copy = await again.snapshot(['people']);
    expect(await copy.table('people').then((rows) => rows.describe())).toMatchObject({
      columns: [{ name: 'id' }, { name: 'name' }, { name: 'secret' }],
    });
  });

  test('a table that was dropped and made again, or was not published for a while, must be copied again', async () => {
    for (const work of [
      'drop table people; create table people (id int4 primary key, secret text, name text)',
      'alter publication millrace_shop__changes drop table people; alter publication millrace_shop__changes add table people',
    ]) {
      const { database, source, position, open } = await opened();
      await using _database = database;
      await source[Symbol.asyncDispose]();
      await database.sql(work);
      await using again = await open();
      await expect(all(again, position)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED', facts: { table: 'people' } });
    }
  });

  test('keys keep their columns when these are renamed', async () => {
    const { database, source, position } = await opened();
    await using _database = database;
    await database.sql(`insert into people (id) values (1); alter table people rename id to number; update people set number = 2`);
    await database.sql('delete from people');
    const groups = await readToEnd(source, position);
    expect(brief(groups.flatMap(({ changes }) => changes)).slice(announceColumns ? 0 : 1)).toEqual([
      ...(announceColumns ? [{ op: 'insert', table: 'people', row: { id: 1, name: null } }] : []),
      { op: 'schema', table: 'people', changes: [{ change: 'rename', from: 'id', to: 'number' }] },
      { op: 'update', table: 'people', row: { number: 2, name: null }, old: { number: 1, name: null }, before: 'key' },
      { op: 'delete', table: 'people', row: { number: 2, name: null }, old: { number: 2, name: null }, before: 'key' },
    ]);
    await source[Symbol.asyncDispose]();
  });
});

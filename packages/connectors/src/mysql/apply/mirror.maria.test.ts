import { int4, int8, numeric, table, text, timestamp, timestamptz, varchar } from '@millrace/core';
import { type ChangeSink, isMillraceError, type StreamTables, type Table } from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { asText } from '../../../test/encoded.ts';
import { type Change, groupOf, positionAt, streamOf } from '../../../test/hand-made.ts';
import { batches, loosened, split, testContext } from '../../../test/load.ts';
import { arbitraryStep, happened, type Name, names, shown, tables } from '../../../test/random-stream.ts';
import { type MysqlApplyOptions, mysql } from '../index.ts';

const policy = { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' } as const;

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

let epoch = 0;
async function begin({ url }: MariaDbDatabase, of: StreamTables, options: MysqlApplyOptions = {}): Promise<ChangeSink> {
  const sink = await mysql({ url }).apply(options).open(testContext());
  await sink.begin({ owner: { pipeline: 'p', step: 's' }, pipelineRun: 'r', tables: of, policy }, { key: 'p/s', epoch: ++epoch });
  return sink;
}

async function stored(db: MariaDbDatabase, name: Name): Promise<string[]> {
  const columns = `id, ${name === 'pairs' ? 'part, ' : ''}note, doc, code, amount, date_format(at, '%Y-%m-%dT%H:%i:%s.%fZ') as at`;
  return (await db.sql(`set time_zone = '+00:00'`, `select ${columns} from ${name}`)).map(shown).sort();
}

describe.each([
  ['values', '1'],
  ['text', '1'],
  ['text', '0'],
] as const)('as %s, with local_infile = %s', (form, infile) => {
  test('random changes leave what they left at the source', { timeout: 120_000 }, async () => {
    const db = await server.database();
    await server.sql(`set global local_infile = ${infile}`);
    try {
      await using sink = await begin(db, tables);
      for (const name of names) await db.sql(`create unique index code on ${name} (code)`);
      await fc.assert(
        fc.asyncProperty(fc.array(arbitraryStep, { minLength: 5, maxLength: 60 }), async (steps) => {
          for (const name of names) await db.sql(`truncate ${name}`);
          await sink.follow(streamOf(), positionAt(1));
          const { groups, models } = happened(steps);
          for (const transactions of groups) {
            const group = groupOf(tables as Record<string, Table>, transactions);
            await sink.apply(form === 'text' ? asText(group) : group);
          }
          for (const name of names) expect(await stored(db, name)).toEqual([...models.get(name)!.values()].map(shown).sort());
        }),
        { numRuns: 8 },
      );
    } finally {
      await server.sql('set global local_infile = 1');
    }
  });
});

const things = table('shop.things', { id: int8(), code: varchar(10).orNull(), total: numeric(6, 2).orNull() }, { key: ['id'] });
const row = (id: number, code: string | null, total = '1.00') => ({ id: BigInt(id), code, total });
const insert = (id: number, code: string | null, total?: string): Change => ({ op: 'insert', table: 'things', row: row(id, code, total) });
const update = (id: number, code: string | null, total?: string): Change => ({ op: 'update', table: 'things', row: row(id, code, total) });

const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (isMillraceError(error) ? `${error.code}: ${error.message}` : String(error)),
  );

test('a change that its table refuses is named, and nothing of its group is applied', async () => {
  const db = await server.database();
  await db.sql('create table things (id bigint primary key, code varchar(10) unique, total decimal(6,2))');
  await using sink = await begin(db, { things });
  await sink.follow(streamOf(), positionAt(1));
  await sink.apply(groupOf({ things }, [{ at: 10, changes: [insert(1, 'a'), insert(2, 'b')] }]));
  const before = await db.sql('select * from things order by id');
  for (const [at, changes, why] of [
    [20, [update(1, 'c'), insert(3, 'b')], /things refuses the change of id = 3 at .*Duplicate entry 'b'/],
    [20, [update(1, 'c'), insert(4, 'x', '12345.00')], /things refuses the change of id = 4 at .*Out of range value for column 'total'/],
    [20, [update(1, 'c'), insert(5, 'y', '1.005')], /things refuses the change of id = 5 at .*truncated for column 'total'/],
    [20, [update(1, 'c'), insert(6, 'z', 'NaN')], /things refuses the change of id = 6 at .*NaN.* exists in numeric/],
    [
      20,
      [update(1, 'c'), { op: 'update', table: 'things', row: row(7, 'q'), unchanged: ['total'] } as Change],
      /things refuses the change of id = 7 at .*came without all its values/,
    ],
  ] as const) {
    const wider = {
      things: {
        ...things,
        columns: things.columns.map((column) => (column.name === 'total' ? { ...column, type: { kind: 'numeric' } as const } : column)),
      },
    };
    expect(await code(sink.apply(groupOf(wider, [{ at, changes }])))).toMatch(new RegExp(`^CHANGE_REFUSED: .*${why.source}`, 's'));
    expect(await db.sql('select * from things order by id')).toEqual(before);
  }
  await sink.apply(groupOf({ things }, [{ at: 20, changes: [update(1, 'c')] }]));
  expect(await db.sql('select id, code from things order by id')).toEqual([
    { id: '1', code: 'c' },
    { id: '2', code: 'b' },
  ]);
});

test('unique values that change places are applied in the order of the source', async () => {
  const db = await server.database();
  await db.sql('create table things (id bigint primary key, code varchar(10) unique, total decimal(6,2))');
  await using sink = await begin(db, { things });
  await sink.follow(streamOf(), positionAt(1));
  await sink.apply(groupOf({ things }, [{ at: 10, changes: [insert(1, 'a'), insert(2, 'b')] }]));
  await sink.apply(groupOf({ things }, [{ at: 20, changes: [update(1, 'x'), update(2, 'a'), update(1, 'b')] }]));
  expect(await db.sql('select id, code from things order by id')).toEqual([
    { id: '1', code: 'b' },
    { id: '2', code: 'a' },
  ]);
});

test('foreign keys and generated columns do not stand in the way; a table copied again where others refer to it is filled, not swapped', async () => {
  const db = await server.database();
  await db.sql(
    'create table things (id bigint primary key, code varchar(10), total decimal(6,2), twice decimal(8,2) as (total * 2))',
    'create table parts (id bigint primary key, thing bigint not null, constraint of_thing foreign key (thing) references things (id) on delete cascade)',
  );
  const parts = table('shop.parts', { id: int8(), thing: int8() }, { key: ['id'] });
  await using sink = await begin(db, { things, parts });
  await sink.follow(streamOf(), positionAt(1));
  for (const name of ['things', 'parts'] as const) {
    await using copy = await sink.copy(name, 'fresh');
    await copy.finish(positionAt(1));
  }
  // The child comes before its parent, and the parent goes before its child.
  const child: Change = { op: 'insert', table: 'parts', row: { id: 1n, thing: 1n } };
  await sink.apply(
    groupOf({ things, parts }, [
      { at: 10, changes: [child] },
      { at: 12, changes: [insert(1, 'a', '2.50')] },
    ]),
  );
  await sink.apply(groupOf({ things, parts }, [{ at: 20, changes: [{ op: 'delete', table: 'things', old: { id: 1n } }] }]));
  expect(await db.sql('select id from parts')).toEqual([{ id: '1' }]);
  await using copy = await sink.copy('things', 'beside', positionAt(21));
  await copy.stage(split(0), batches(things, [row(1, 'again', '4.00')]));
  await copy.finish(positionAt(21));
  expect(await db.sql('select id, code, twice from things')).toEqual([{ id: '1', code: 'again', twice: '8.00' }]);
  expect(
    await db.sql(`select constraint_name as name from information_schema.referential_constraints where constraint_schema = database()`),
  ).toEqual([{ name: 'of_thing' }]);
  const beside = await db.sql(
    `select table_name as name from information_schema.tables where table_schema = database() and table_name like '\\_millrace\\_shadow%'`,
  );
  expect(beside).toEqual([]);
});

test('a table that is filled anew gets wider columns first, and no value of the new copy is cut', async () => {
  const db = await server.database();
  await db.sql(
    'create table things (id bigint primary key, code varchar(10), total decimal(6,2), at datetime)',
    'create table parts (thing bigint references things (id))',
  );
  const before = table(
    'shop.things',
    { id: int8(), code: varchar(10).orNull(), total: numeric(6, 2).orNull(), at: timestamp(0).orNull() },
    { key: ['id'] },
  );
  const after = table(
    'shop.things',
    { id: int8(), code: varchar(10).orNull(), total: numeric(8, 4).orNull(), at: timestamp(6).orNull(), extra: text().orNull() },
    { key: ['id'] },
  );
  {
    await using sink = await begin(db, { things: before });
    await sink.follow(streamOf(), positionAt(1));
    await using copy = await sink.copy('things', 'fresh');
    await copy.stage(split(0), batches(before, [{ id: 1n, code: 'a', total: '1.00', at: null }]));
    await copy.finish(positionAt(1));
  }
  await using sink = await begin(db, { things: after });
  await using copy = await sink.copy('things', 'beside', positionAt(1));
  await copy.stage(split(0), batches(after, [{ id: 1n, code: 'a', total: '1.2345', at: '2026-03-01T00:00:00.123456', extra: 'new' }]));
  await copy.finish(positionAt(9));
  expect(await db.sql('select id, total, at, extra from things')).toEqual([
    { id: '1', total: '1.2345', at: '2026-03-01 00:00:00.123456', extra: 'new' },
  ]);
  // What the stream cannot bring over without taking something away is said, and the old rows stay.
  await db.sql('update things set code = null', 'alter table things modify code int null');
  await using again = await sink.copy('things', 'beside', positionAt(10));
  expect(await code(again.finish(positionAt(10)))).toMatch(/^SCHEMA_DRIFT: .*"code" of .*things is int/);
  expect(await db.sql('select id from things')).toEqual([{ id: '1' }]);
});

test.each(['1', '0'])(
  'a NULL in a NOT NULL timestamp is refused, never the present moment (explicit_defaults_for_timestamp: %s)',
  async (explicit) => {
    const db = await server.database();
    const paid = table('shop.paid', { id: int8(), at: timestamptz() }, { key: ['id'] });
    const later: Change = { op: 'insert', table: 'paid', row: { id: 2n, at: null } };
    await server.sql(`set global explicit_defaults_for_timestamp = ${explicit}`);
    try {
      await using sink = await begin(db, { paid });
      await sink.follow(streamOf(), positionAt(1));
      {
        await using copy = await sink.copy('paid', 'fresh');
        expect(await code(copy.stage(split(0), batches(loosened(paid), [{ id: 1n, at: null }])))).toMatch(
          /^TYPE_MISMATCH: .*"at" must not be NULL/,
        );
        await copy.finish(positionAt(1));
      }
      expect(await code(sink.apply(groupOf({ paid }, [{ at: 10, changes: [later] }])))).toMatch(
        /^CHANGE_REFUSED: .*id = 2 .*"at" must not be NULL/,
      );
      expect(await db.sql('select * from paid')).toEqual([]);
    } finally {
      await server.sql('set global explicit_defaults_for_timestamp = 1');
    }
  },
);

test('what cannot be followed is said before anything is changed', async () => {
  const db = await server.database();
  const keyless = table('shop.keyless', { a: int4() });
  expect(
    mysql({ url: db.url })
      .apply({ tables: { gone: {} } })
      .problems({ keyless }),
  ).toEqual([expect.objectContaining({ message: expect.stringContaining('"keyless" has no key') })]);
  expect(await code(begin(db, { things }, { create: false }))).toMatch(/^TABLE_MISSING: /);
  await db.sql('create table things (id bigint, code varchar(10), total decimal(6,2))');
  expect(await code(begin(db, { things }))).toMatch(/^SCHEMA_DRIFT: .*no unique index on \(id\)/);
  await db.sql('alter table things add primary key (id), modify total int');
  expect(await code(begin(db, { things }))).toMatch(/^SCHEMA_DRIFT: .*"total" is int(\(11\))? in the table/s);
  await db.sql('alter table things modify total decimal(6,2), engine=myisam');
  expect(await code(begin(db, { things }))).toMatch(/^UNSUPPORTED: things is a table of MyISAM/);
  await db.sql('alter table things engine=innodb', `insert into things values (1, 'x', 1)`);
  await using sink = await begin(db, { things });
  await sink.follow(streamOf(), positionAt(1));
  expect(await code(sink.copy('things', 'fresh'))).toMatch(/^TARGET_NOT_EMPTY: /);
  expect(await db.sql('select code from things')).toEqual([{ code: 'x' }]);
});

test('a policy that does not let a change of columns through stops the stream with everything before it', async () => {
  const db = await server.database();
  await using sink = await begin(db, { things });
  await sink.follow(streamOf(), positionAt(1));
  await sink.apply(groupOf({ things }, [{ at: 10, changes: [insert(1, 'a')] }]));
  const less = { ...things, columns: things.columns.slice(0, 2) };
  const changes: Change[] = [
    update(1, 'b'),
    {
      op: 'schema',
      table: 'things',
      schema: less,
      changes: [
        { change: 'add', column: { name: 'extra', type: { kind: 'text' }, nullable: true }, fill: null },
        { change: 'drop', name: 'total' },
      ],
    },
  ];
  expect(await code(sink.apply(groupOf({ things }, [{ at: 20, changes }])))).toMatch(/^SCHEMA_CHANGED: .*no longer has the column "total"/);
  expect(await db.sql('select * from things')).toEqual([{ id: '1', code: 'a', total: '1.00' }]);
});

test('a key that is called otherwise is followed, also by an attempt that knows the declaration only', async () => {
  const db = await server.database();
  const columns = things.columns.map((column) => (column.name === 'id' ? { ...column, name: 'number' } : column));
  const schema = { ...things, columns, key: ['number'] };
  const renamed: Change = { op: 'schema', table: 'things', schema, changes: [{ change: 'rename', from: 'id', to: 'number' }] };
  const of = (number: number, name: string) => ({ number: BigInt(number), code: name, total: null });
  {
    await using sink = await begin(db, { things });
    await sink.follow(streamOf(), positionAt(1));
    await using copy = await sink.copy('things', 'fresh');
    await copy.stage(split(0), batches(things, [row(1, 'a'), row(2, 'b')]));
    await copy.finish(positionAt(1));
    const update: Change = { op: 'update', table: 'things', row: of(1, 'c') };
    await sink.apply(groupOf({ things }, [{ at: 10, changes: [renamed, update] }]));
  }
  await using sink = await begin(db, { things });
  await sink.apply(groupOf({ things }, [{ at: 20, changes: [renamed, { op: 'delete', table: 'things', old: { number: 2n } }] }]));
  expect(await db.sql('select number, code from things')).toEqual([{ number: '1', code: 'c' }]);
});

test('a transaction that was applied in part is not gone on with where its changes are numbered otherwise', async () => {
  const db = await server.database();
  const note = table('shop.notes', { id: int8(), body: text().orNull() }, { key: ['id'] });
  const schema = { ...things, columns: [...things.columns, { name: 'extra', type: { kind: 'int4' }, nullable: true } as const] };
  const group = () =>
    groupOf({ things }, [
      {
        at: 10,
        changes: [
          insert(1, 'a'),
          { op: 'schema', table: 'things', schema, changes: [{ change: 'add', column: schema.columns[3]!, fill: null }] },
          insert(2, 'a'),
        ],
      },
    ]);
  {
    await using sink = await begin(db, { things });
    await sink.follow(streamOf(), positionAt(1));
    await db.sql('create unique index code on things (code)');
    expect(await code(sink.apply(group()))).toMatch(/^CHANGE_REFUSED: .*id = 2 /);
    expect(await db.sql('select id, extra from things')).toEqual([{ id: '1', extra: null }]);
    expect(await code(sink.apply(group()))).toMatch(/^CHANGE_REFUSED: .*id = 2 /);
  }
  {
    await using sink = await begin(db, { things, note });
    expect(await code(sink.apply(group()))).toMatch(/^RESYNC_REQUIRED: .*applied in part/);
  }
  await db.sql('drop index code on things');
  await using sink = await begin(db, { things });
  await sink.apply(group());
  expect(await db.sql('select id, code from things order by id')).toEqual([
    { id: '1', code: 'a' },
    { id: '2', code: 'a' },
  ]);
});

test.each([true, false])('an announced take-over is brought to its end by the next attempt (it has happened: %s)', async (happened) => {
  const db = await server.database();
  const owner = { pipeline: 'p', step: 's' };
  await using sink = await begin(db, { things });
  await sink.follow(streamOf(), positionAt(1));
  {
    await using copy = await sink.copy('things', 'fresh');
    await copy.stage(split(0), batches(things, [row(1, 'old')]));
    await copy.finish(positionAt(1));
  }
  await using copy = await sink.copy('things', 'beside', positionAt(1));
  await copy.stage(split(0), batches(things, [row(1, 'new')]));
  // As an attempt leaves it that dies right before or after the RENAME.
  const [{ shadow } = {}] = await db.sql('select shadow from _millrace_stream_table');
  await db.sql(
    `update _millrace_stream_table set retired = concat('\`', database(), '\`.\`_millrace_retired_x\`'), takes_over_at = '${positionAt(9)}'`,
  );
  if (happened) await db.sql(`rename table things to _millrace_retired_x, ${shadow} to things`);
  const next = await mysql({ url: db.url }).apply().open(testContext());
  const state = await next.begin({ owner, pipelineRun: 'r', tables: { things }, policy }, { key: 'p/s', epoch: ++epoch });
  await next[Symbol.asyncDispose]();
  expect(state.copied).toEqual({ things: positionAt(happened ? 9 : 1) });
  expect(await db.sql('select code from things')).toEqual([{ code: happened ? 'new' : 'old' }]);
  expect(await db.sql('select shadow, retired, takes_over_at from _millrace_stream_table')).toEqual([
    { shadow: null, retired: null, takes_over_at: null },
  ]);
  expect(
    await db.sql(
      `select table_name as name from information_schema.tables where table_schema = database() and table_name regexp '^_millrace_(shadow|retired)'`,
    ),
  ).toEqual([]);
});

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { ObjectsTask, SqlFile } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { bundled } from '../../../../../test/bundle.ts';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { testContext } from '../../../test/load.ts';
import { redshift } from '../../redshift/index.ts';
import { postgres } from '../index.ts';

type Texts = Readonly<Record<string, string>>;
type Rules = Partial<Pick<ObjectsTask, 'removed' | 'changed'>>;

const fileOf = (name: string, text: string): SqlFile => ({ name, text, hash: createHash('sha256').update(text).digest('hex') });

const taskOf = (texts: Texts, rules: Rules = {}): ObjectsTask => ({
  kind: 'objects',
  folder: '/sql',
  files: Object.keys(texts)
    .sort()
    .map((name) => fileOf(name, texts[name] as string)),
  removed: 'tell',
  changed: 'tell',
  ...rules,
});

let runs = 0;

async function deploy(
  db: TestDatabase,
  texts: Texts,
  rules?: Rules,
  { step = 'objects', url = db.url, connect = postgres as typeof postgres | typeof redshift } = {},
) {
  const id = `run-${++runs}`;
  const done = await connect({ url })
    .tasks()
    .perform(taskOf(texts, rules), { id, fence: { key: id, epoch: 1 }, owner: { pipeline: 'nightly', step } }, testContext());
  return done.notices;
}

const preview = async (db: TestDatabase, texts: Texts, rules?: Rules) =>
  (await postgres({ url: db.url }).tasks().preview(taskOf(texts, rules), { pipeline: 'nightly', step: 'objects' }, testContext())).map(
    ({ subject, level, message }) => `${level} ${subject} ${message}`,
  );

const one = async (db: TestDatabase, text: string) => Object.values((await db.sql(text))[0] ?? {})[0];

const files: Texts = {
  '10-types.sql': `create schema if not exists a; create type a.state as enum ('new', 'paid')`,
  '20-functions.sql': `create or replace function a.twice(n int4) returns int4 language sql as $$ select n * 2 $$;
    create or replace procedure a.note(what text) language plpgsql as $$ begin raise notice '%', what; end $$`,
  '30-views.sql': 'create or replace view a.orders as select 1 as id, a.twice(21) as total',
  '40-daily.sql': 'create materialized view a.daily as select count(*) as n from a.orders; create unique index on a.daily (n)',
};

test('files are run once, in the order of their names; then only what has changed', async () => {
  await using db = await testDatabase();
  expect(await preview(db, files)).toEqual(Object.keys(files).map((name) => `ok ${name} would be deployed`));
  expect(await deploy(db, files)).toEqual(Object.keys(files).map((name) => `${name}: deployed`));
  expect(await deploy(db, files)).toEqual(['nothing has changed in 4 files']);
  expect(await preview(db, files)).toEqual(['ok 4 files deployed as they are']);
  const changed = { ...files, '30-views.sql': 'create or replace view a.orders as select 2 as id, a.twice(4) as total' };
  expect(await preview(db, changed)).toEqual(['ok 30-views.sql has changed and would be deployed anew']);
  expect(await deploy(db, changed)).toEqual(['30-views.sql: deployed anew']);
  expect(await one(db, 'select total from a.orders')).toBe(8);
  expect(await db.sql('select file, run is not null as run from _millrace.sql_file order by file')).toHaveLength(4);
});

test('where one file fails nothing is deployed, and the error names its file and line', async () => {
  await using db = await testDatabase();
  const broken = { 'a.sql': 'create view v as select 1 as n', 'b.sql': '-- é\ncreate view w as\n  select missing from v' };
  await expect(deploy(db, broken)).rejects.toMatchObject({
    code: 'STATEMENT_FAILED',
    message: expect.stringMatching(/^"b\.sql", line 3: /),
    facts: { file: 'b.sql', line: 3 },
  });
  expect(await one(db, `select to_regclass('v')`)).toBeNull();
});

test('a file cannot end the transaction unseen', async () => {
  await using db = await testDatabase();
  await expect(deploy(db, { 'a.sql': 'select 1; commit; begin' })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining('"a.sql" ended the transaction'),
  });
});

test('a view whose columns change is made anew with what stands on it, and keeps its grants, owner, comment and indexes', async () => {
  await using db = await testDatabase();
  const role = `"rö le ${db.name}"`;
  await db.sql(`create role ${role}; grant create on database ${db.name} to ${role}`);
  try {
    await deploy(db, files);
    await db.sql(`grant select on a.orders to ${role} with grant option; grant select (n) on a.daily to public; revoke all on function a.twice from public;
      comment on view a.orders is 'it''s kept'; create index by_hand on a.daily ((n + 1)); alter view a.orders owner to ${role}; grant usage on schema a to ${role}`);
    await db.sql(`grant create on schema a to ${role}; grant execute on function a.twice to ${role}`);
    const notices = await deploy(db, { ...files, '30-views.sql': 'create or replace view a.orders as select 5::int8 as id' });
    expect(notices).toEqual(['30-views.sql: deployed anew', '40-daily.sql: run again, since what it stands on was made anew']);
    expect(await one(db, `select has_table_privilege('${role.replaceAll('"', '')}', 'a.orders', 'select with grant option')`)).toBe(true);
    expect(await one(db, `select has_column_privilege('public', 'a.daily', 'n', 'select')`)).toBe(true);
    expect(
      await db.sql(
        `select obj_description('a.orders'::regclass) as comment, pg_get_userbyid(relowner) as owner from pg_class where oid = 'a.orders'::regclass`,
      ),
    ).toEqual([{ comment: "it's kept", owner: `rö le ${db.name}` }]);
    expect(await one(db, `select count(*)::int from pg_index where indrelid = 'a.daily'::regclass`)).toBe(2);
    // A function that returns something else takes the view along.
    await deploy(db, files);
    await deploy(db, { ...files, '20-functions.sql': (files['20-functions.sql'] as string).replace('returns int4', 'returns int8') });
    expect(await one(db, `select has_function_privilege('public', 'a.twice(int4)', 'execute')`)).toBe(false);
    expect(await one(db, 'select pg_typeof(total)::text from a.orders')).toBe('bigint');
  } finally {
    await db.sql(`drop owned by ${role} cascade; drop role ${role}`);
  }
});

test('what nobody may lose is not dropped: the error names it', async () => {
  await using db = await testDatabase();
  await deploy(db, files);
  await db.sql('create view by_hand as select id from a.orders; create table t (n int4 default a.twice(1), state a.state)');
  const changed = { ...files, '30-views.sql': `create or replace view a.orders as select 'x' as id` };
  await expect(deploy(db, changed)).rejects.toMatchObject({
    code: 'OBJECTS_REFUSED',
    message: expect.stringContaining('view public.by_hand'),
    remedy: expect.stringContaining('a file of the folder'),
  });
  await expect(
    deploy(db, {
      ...files,
      '20-functions.sql': 'create or replace function a.twice(n int4) returns text language sql as $$ select $1::text $$',
    }),
  ).rejects.toMatchObject({ code: 'OBJECTS_REFUSED', message: expect.stringMatching(/default value for column n of table (public\.)?t/) });
  await expect(
    deploy(db, { ...files, '10-types.sql': `create schema if not exists a; create type a.state as enum ('new')` }),
  ).rejects.toMatchObject({
    code: 'OBJECTS_REFUSED',
    message: expect.stringMatching(/table public\.t,? which no file makes/),
  });
  expect(await deploy(db, files)).toEqual(['nothing has changed in 4 files']);
});

test('a materialized view that is there and is not ours is refused, with the remedy', async () => {
  await using db = await testDatabase();
  await db.sql('create materialized view m as select 1 as n');
  await expect(deploy(db, { 'm.sql': 'create materialized view m as select 2 as n' })).rejects.toMatchObject({
    code: 'OBJECTS_REFUSED',
    message: expect.stringContaining('relation "m" already exists'),
    remedy: expect.stringContaining('Drop it once'),
  });
});

test('IF NOT EXISTS does not keep an old materialized view', async () => {
  await using db = await testDatabase();
  const at = (n: number) => ({ 'm.sql': `create materialized view if not exists m as select ${n} as n` });
  await deploy(db, at(1));
  await deploy(db, at(2));
  expect(await one(db, 'select n from m')).toBe(2);
});

test('a trigger and its function are deployed, and moved into another file', async () => {
  await using db = await testDatabase();
  await db.sql('create table t (n int4)');
  const fn = 'create or replace function stamp() returns trigger language plpgsql as $$ begin new.n := new.n + 1; return new; end $$;';
  const trigger = 'create trigger stamp before insert on t for each row execute function stamp();';
  await deploy(db, { 'a.sql': fn + trigger });
  await deploy(db, { 'a.sql': fn, 'b.sql': trigger });
  await deploy(db, { 'a.sql': `${fn} ${trigger}`, 'b.sql': 'select 1' }, { removed: 'drop' });
  await deploy(db, { 'a.sql': fn, 'b.sql': trigger }, { removed: 'drop' });
  await deploy(db, { 'a.sql': fn.replace('+ 1', '+ 10'), 'b.sql': trigger });
  await db.sql('insert into t values (1)');
  expect(await one(db, 'select n from t')).toBe(11);
});

test('what somebody else has changed or dropped is told; dropped objects come back, changed ones where that was asked', async () => {
  await using db = await testDatabase();
  await deploy(db, files);
  await db.sql('create or replace view a.orders as select 9 as id, 9 as total; drop procedure a.note');
  expect(await preview(db, files)).toEqual([
    'ok 20-functions.sql would be run again, since something that it made is gone',
    'warning 30-views.sql view a.orders was changed by somebody else',
  ]);
  expect(await deploy(db, files)).toEqual([
    'view a.orders of 30-views.sql was changed by somebody else',
    '20-functions.sql: run again, since something that it made was gone',
  ]);
  expect(await one(db, 'select total from a.orders')).toBe(9);
  expect(await preview(db, files)).toEqual(['warning 30-views.sql view a.orders was changed by somebody else']);
  await deploy(db, files, { changed: 'restore' });
  expect(await one(db, 'select total from a.orders')).toBe(42);
  expect(await preview(db, files)).toEqual(['ok 4 files deployed as they are']);
});

test('what no file makes any longer is told, and dropped when that is asked', async () => {
  await using db = await testDatabase();
  await deploy(db, files);
  const { '40-daily.sql': _, ...fewer } = files;
  const less = { ...fewer, '20-functions.sql': (files['20-functions.sql'] as string).split(';\n')[0] as string };
  expect(await preview(db, less)).toContain('warning 40-daily.sql is gone, and materialized view a.daily, index a.daily_n_idx stays');
  expect(await deploy(db, less)).toEqual([
    '20-functions.sql: deployed anew',
    'materialized view a.daily is not made by 40-daily.sql any longer, and is still there',
    'index a.daily_n_idx is not made by 40-daily.sql any longer, and is still there',
    'procedure a.note(pg_catalog.text) is not made by 20-functions.sql any longer, and is still there',
  ]);
  expect(await deploy(db, less, { removed: 'drop' })).toHaveLength(3);
  expect(await one(db, `select to_regclass('a.daily')`)).toBeNull();
  expect(await one(db, `select count(*)::int from pg_proc where proname = 'note'`)).toBe(0);
  expect(await deploy(db, less, { removed: 'drop' })).toEqual(['nothing has changed in 3 files']);
  // Something else stands on what would be dropped.
  await db.sql('create view by_hand as select * from a.orders');
  const { '30-views.sql': __, ...none } = less as Texts;
  await expect(deploy(db, none, { removed: 'drop' })).rejects.toMatchObject({
    code: 'OBJECTS_REFUSED',
    message: expect.stringContaining('view public.by_hand'),
  });
});

test('a file and a step that are renamed are the same files: nothing is run', async () => {
  await using db = await testDatabase();
  await deploy(db, files);
  const { '40-daily.sql': text, ...others } = files;
  expect(await deploy(db, { ...others, '50-daily.sql': text as string })).toEqual(['50-daily.sql is what was 40-daily.sql']);
  expect(await deploy(db, { ...others, '50-daily.sql': text as string }, {}, { step: 'renamed' })).toEqual([
    'nothing has changed in 4 files',
  ]);
});

test('a GRANT in a file does not make the object its own', async () => {
  await using db = await testDatabase();
  await db.sql('create function theirs() returns int4 language sql as $$ select 1 $$; create view theirs as select 1 as n');
  await deploy(db, {
    'grants.sql': 'grant execute on function theirs() to public; grant select on theirs to public',
    'v.sql': 'create view v as select 1 as n',
  });
  await deploy(db, { 'v.sql': 'create view v as select 1 as n' }, { removed: 'drop' });
  expect(await one(db, 'select theirs()')).toBe(1);
  expect(await one(db, 'select n from theirs')).toBe(1);
});

test('a search path, a role or a quote in one file stays there; names are names', async () => {
  await using db = await testDatabase();
  const name = `it's "q"; drop table x --\n$$.sql`;
  await deploy(db, {
    [name]: `create schema "s ""x"; set search_path = "s ""x"; create view "v;'" as select 1 as "n"`,
    'z.sql': 'create view plain as select 1 as n',
  });
  expect(await one(db, `select to_regclass('public.plain')::text`)).toBe('plain');
  await deploy(db, {
    [name]: `set search_path = "s ""x"; create or replace view "v;'" as select 'a' as other`,
    'z.sql': 'create view plain as select 1 as n',
  });
  expect(await one(db, `select other from "s ""x"."v;'"`)).toBe('a');
  const { message } = await deploy(db, { [name]: 'nonsense' }).catch((error) => error);
  expect(message).toMatch(/^"it's \\"q\\"; drop table x --\\n\$\$\.sql", line 1: /);
});

test('two at once deploy once', async () => {
  await using db = await testDatabase();
  const results = await Promise.all([1, 2, 3, 4].map(() => deploy(db, files)));
  expect(results.filter((lines) => lines[0] === 'nothing has changed in 4 files')).toHaveLength(3);
});

test('a deployer that is killed before its commit leaves nothing, and the next attempt does all', async () => {
  await using db = await testDatabase();
  await using program = await bundled(new URL('../../../test/task-once.ts', import.meta.url));
  const start = (epoch: number, failpoint: string) =>
    spawn(process.execPath, [program.file, JSON.stringify({ url: db.url, task: taskOf(files), id: 'killed', epoch })], {
      env: { ...process.env, MILLRACE_FAILPOINT: failpoint },
    });
  const [, signal] = await once(start(1, 'postgres.sql.executed'), 'exit');
  expect(signal).toBe('SIGKILL');
  expect(await one(db, `select to_regclass('a.orders')`)).toBeNull();
  const [, after] = await once(start(2, 'postgres.sql.committed'), 'exit');
  expect(after).toBe('SIGKILL');
  expect(await one(db, 'select total from a.orders')).toBe(42);
  const [code] = await once(start(3, ''), 'exit');
  expect(code).toBe(0);
  expect(await deploy(db, files)).toEqual(['nothing has changed in 4 files']);
});

test('a warehouse on a laptop is deployed to as Postgres is', async () => {
  await using db = await testDatabase();
  expect(await deploy(db, files, {}, { connect: redshift })).toHaveLength(4);
});

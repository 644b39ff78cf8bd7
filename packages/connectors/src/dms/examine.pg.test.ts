import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { capture, float8, int8, numeric, type Table, table, text, timestamptz } from '@millrace/core';
import type { CaptureSource, Finding } from '@millrace/core/runtime';
import { MemoryDatabase, testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { filesIn } from '../../../../test/dms-files.ts';
import type { WrittenAs } from '../../../../test/dms-formats.ts';
import { type DmsServer, dmsServer, targetOf } from '../../../../test/dms-server.ts';
import { DmsTask } from '../../../../test/dms-task.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { postgres } from '../postgres/index.ts';
import { s3 } from '../s3/index.ts';
import { dms } from './engine.ts';
import { completeOutput, type S3Output } from './output.ts';

const arn = 'arn:aws:dms:eu-west-1:123456789012:task:T';
let db: TestDatabase;
let server: DmsServer;
beforeAll(async () => {
  db = await testDatabase();
  server = await dmsServer();
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const well = table('public.well', { id: int8(), note: text().orNull(), amount: numeric(12, 2).orNull() }, { key: ['id'] });

function world(tables: Readonly<Record<string, Table>>, more: { readonly manage?: boolean; readonly output?: S3Output } = {}) {
  const output = completeOutput(more.output);
  const folder = mkdtempSync(join(tmpdir(), 'millrace-dms-'));
  const task = new DmsTask({
    arn,
    database: new MemoryDatabase(tables),
    tables,
    files: filesIn(folder),
    output: output as WrittenAs,
    sequence: true,
  });
  server.tasks.set(arn, task);
  server.endpoints.set(targetOf(arn), { ...output, BucketName: 'lake' });
  const engine = dms({
    task: arn,
    files: s3({ url: pathToFileURL(folder).href }),
    lobKilobytes: 4,
    endpoint: server.endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    ...more,
  });
  const { work } = capture(postgres({ url: db.url }), { tables, engine });
  const source = (work as { readonly source: CaptureSource }).source;
  const examine = () => source.examine(testContext(), { pipeline: 'p', step: 'changes' });
  return { task, examine };
}

const said = (findings: readonly Finding[], level: Finding['level']): string[] =>
  findings.filter((one) => one.level === level).map(({ message }) => message);

test('where all is well nothing is a problem', async () => {
  await db.sql('create table public.well (id bigint primary key, note text, amount numeric(12,2))');
  const { examine } = world({ well });
  const findings = await examine();
  expect(said(findings, 'problem').filter((message) => !message.startsWith('wal_level'))).toEqual([]);
  expect(said(findings, 'ok')).toContain('it writes as it is read');
});

describe('what DMS gets wrong at the source is told', () => {
  const wrong: Readonly<Record<string, readonly [ddl: string, said: string]>> = {
    'no primary key': ['create table public.t (id bigint not null, note text, amount numeric(12,2))', 'has no primary key'],
    'another key': [
      'create table public.t (id bigint not null, note text primary key, amount numeric(12,2))',
      'has the primary key (note)',
    ],
    'no replica identity': [
      'create table public.t (id bigint primary key, note text, amount numeric(12,2)); alter table public.t replica identity nothing',
      'REPLICA IDENTITY NOTHING',
    ],
    'a numeric without precision': ['create table public.t (id bigint primary key, note text, amount numeric)', 'NUMERIC(28,6)'],
    'a long value': [
      "create table public.t (id bigint primary key, note text, amount numeric(12,2)); insert into public.t values (1, repeat('x', 5000))",
      'has a value of 10 kB as DMS counts it, and DMS cuts what is longer than 4 kB',
    ],
    'a long value of wide characters': [
      "create table public.t (id bigint primary key, note text, amount numeric(12,2)); insert into public.t values (1, repeat('x', 1023) || '😀')",
      'has a value of 4 kB as DMS counts it',
    ],
    'a key of a large type': [
      'create table public.t (id text primary key, note text, amount numeric(12,2))',
      'is text, a large object to DMS',
    ],
    'a column that is not there': ['create table public.t (id bigint primary key, amount numeric(12,2))', 'has no column note'],
    'a view': ['create view public.t as select 1::bigint as id, null::text as note, null::numeric(12,2) as amount', 'is a view'],
    'no table': ['select 1', 'there is no table'],
  };
  for (const [what, [ddl, message]] of Object.entries(wrong))
    test(what, async () => {
      await db.sql('drop table if exists public.t cascade').catch(() => db.sql('drop view if exists public.t'));
      for (const statement of ddl.split('; ')) await db.sql(statement);
      const t = table('public.t', { id: int8(), note: text().orNull(), amount: numeric(12, 2).orNull() }, { key: ['id'] });
      const { examine } = world({ t });
      const problems = (await examine()).filter((one) => one.level === 'problem');
      expect(problems.map((one) => one.message).join('\n')).toContain(message);
      for (const one of problems) expect(one.remedy).toBeTruthy();
      await db.sql('drop view if exists public.t').catch(() => db.sql('drop table if exists public.t'));
    });
});

test('values that DMS would change are looked for', async () => {
  await db.sql('drop table if exists public.t cascade');
  await db.sql('create table public.t (id bigint primary key, note text, at timestamptz, score float8, more int)');
  const t = table('public.t', { id: int8(), note: text().orNull(), at: timestamptz().orNull(), score: float8().orNull() }, { key: ['id'] });
  const csv = { DataFormat: 'csv', CsvNullValue: 'NULL' } as const;
  const calm = await world({ t }, { output: csv }).examine();
  expect(said(calm, 'problem').filter((message) => !message.startsWith('wal_level'))).toEqual([]);
  expect(said(calm, 'warning').join()).toContain('score is double precision');
  await db.sql("insert into public.t values (1, 'NULL', 'infinity', 1, 1)");
  const found = said(await world({ t }, { output: csv }).examine(), 'problem').join('\n');
  expect(found).toContain('note holds the text "NULL"');
  expect(found).toContain('at holds infinity');
  const bare = said(await world({ t }, { output: { ...csv, AddColumnName: false } }).examine(), 'problem').join('\n');
  expect(bare).toContain('has the columns id, note, at, score, more, and id, note, at, score are declared');
  await db.sql("update public.t set at = null, note = (select string_agg(md5(n::text), '') from generate_series(1, 100) n)");
  const parquet = await world({ t }).examine();
  expect(said(parquet, 'warning').join()).toContain('values that stand out of line');
  await db.sql('alter table public.t replica identity full');
  expect(said(await world({ t }).examine(), 'warning').join()).not.toContain('values that stand out of line');
  await db.sql('drop table public.t');
});

test('an endpoint that writes otherwise is told, and changed where that is asked for', async () => {
  const { examine } = world({ well });
  server.endpoints.set(targetOf(arn), { ...completeOutput(), DataFormat: 'csv', CdcInsertsOnly: true });
  const finding = (await examine()).find((one) => one.fix);
  expect(finding).toMatchObject({
    level: 'problem',
    message: 'DataFormat is "csv" and should be "parquet"; CdcInsertsOnly is true and should be false',
  });
  await finding?.fix?.();
  expect(said(await examine(), 'ok')).toContain('it writes as it is read');
});

test('mappings and settings that differ are told; a problem where they are not kept by us', async () => {
  const kept = world({ well });
  kept.task.settings = JSON.stringify({ TargetMetadata: { BatchApplyEnabled: true } });
  expect(said(await kept.examine(), 'warning')).toEqual(
    expect.arrayContaining([
      'its table mappings are not those of the declared tables',
      'TargetMetadata.BatchApplyEnabled is true and should be false',
    ]),
  );
  const own = world({ well }, { manage: false });
  expect(said(await own.examine(), 'problem')).toContain('its table mappings are not those of the declared tables');
});

test('a task that is not there is told with its ARN', async () => {
  const { examine } = world({ well });
  server.tasks.delete(arn);
  expect(said(await examine(), 'problem')).toContain(`there is no ${arn}`);
});

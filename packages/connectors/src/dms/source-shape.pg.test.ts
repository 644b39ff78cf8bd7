import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { capture, int8, table, text } from '@millrace/core';
import type { CaptureSource } from '@millrace/core/runtime';
import { MemoryDatabase, testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { filesIn } from '../../../../test/dms-files.ts';
import type { WrittenAs } from '../../../../test/dms-formats.ts';
import { type DmsServer, dmsServer, targetOf } from '../../../../test/dms-server.ts';
import { DmsTask } from '../../../../test/dms-task.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { postgres } from '../postgres/index.ts';
import { s3 } from '../s3/index.ts';
import { dms } from './engine.ts';
import { completeOutput, readingOf, type S3Output } from './output.ts';
import { shapeProblem, shapesOf } from './source-shape.ts';

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

const declared = table('public.t', { id: int8(), note: text().orNull() }, { key: ['id'] });
const place = { schema: 'public', table: 't' };

const cases: readonly (readonly [what: string, ddl: string, output: S3Output, said: string | null])[] = [
  ['rows come and go', "insert into t values (1, 'a'); delete from t; vacuum t", {}, null],
  ['a column comes that is not declared', 'alter table t add more int', {}, null],
  ['a declared type gets wider', 'alter table t alter note type varchar', {}, null],
  ['it is truncated', 'truncate t', {}, 'was truncated'],
  ['it is truncated and filled', "truncate t; insert into t values (1, 'a')", {}, 'was truncated'],
  ['values are written anew', 'alter table t alter note type text using upper(note) || now()::text', {}, 'was truncated or written anew'],
  ['a declared column is made anew', 'alter table t drop note; alter table t add note text', {}, 'other columns'],
  ['a declared column gets another name', 'alter table t rename note to notes', {}, 'other columns'],
  ['it goes', 'drop table t', {}, 'other columns'],
  ['a column comes, where files have no names', 'alter table t add more int', { DataFormat: 'csv', AddColumnName: false }, 'other columns'],
  [
    'a column comes, in files of transactions',
    'alter table t add more int',
    { PreserveTransactions: true, CdcPath: 'tx' },
    'other columns',
  ],
];
for (const [what, ddl, output, said] of cases)
  test(`${what}: ${said ?? 'nothing is wrong'}`, async () => {
    await db.sql('drop table if exists t');
    await db.sql('create table t (id bigint primary key, note text)');
    const connection = postgres({ url: db.url });
    const reading = {
      place,
      schema: declared,
      reading: readingOf(completeOutput(output)),
      sequence: true,
      keyBefore: false,
      binary: 'hex',
    } as const;
    const shapes = shapesOf({ connection } as unknown as CaptureSource, new Map([['t', reading]]));
    const before = await shapes?.(testContext());
    for (const statement of ddl.split('; ')) await db.sql(statement);
    const after = await shapes?.(testContext());
    expect(before?.['t']?.columns).toContain('"note"');
    const problem = shapeProblem('t', place, before?.['t'], after?.['t']);
    if (said === null) expect(problem).toBeNull();
    else expect(problem).toMatchObject({ code: 'RESYNC_REQUIRED', message: expect.stringContaining(said) });
  });

test.each(['stop', 'warn'] as const)('a stream whose source was truncated: %s', async (rewritten) => {
  await db.sql('drop table if exists t');
  await db.sql('create table t (id bigint primary key, note text)');
  const tables = { t: declared };
  const folder = mkdtempSync(join(tmpdir(), 'millrace-dms-'));
  const arn = `arn:aws:dms:eu-west-1:123456789012:task:${rewritten.toUpperCase()}`;
  const database = new MemoryDatabase(tables);
  const output = completeOutput({ DataFormat: 'csv' });
  const task = new DmsTask({ arn, database, tables, files: filesIn(folder), output: output as WrittenAs, sequence: true, keyBefore: true });
  server.tasks.set(arn, task);
  server.endpoints.set(targetOf(arn), { ...output, BucketName: 'lake' });
  const engine = dms({
    task: arn,
    files: s3({ url: pathToFileURL(folder).href }),
    output,
    rewritten,
    settle: '0s',
    poll: '10ms',
    look: '10ms',
    endpoint: server.endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const { work } = capture(postgres({ url: db.url }), { tables, engine });
  const { source } = work as { readonly source: CaptureSource };
  const warned: string[] = [];
  const context = testContext({ log: { info: () => {}, warn: (message: string) => void warned.push(message) } });
  await using opened = await source.open(context, { pipeline: 'p', step: rewritten }, 1);
  const { identity } = await opened.create();
  await db.sql('truncate t');
  database.commit({ do: 'insert', table: 't', row: { id: 1n, note: 'after' } });
  for (const file of await task.changes(() => 9)) await task.deliver(file);
  const stop = new AbortController();
  const read = async (): Promise<void> => {
    for await (const group of opened.read(identity.origin, { signal: stop.signal })) if (group.transactions.length > 0) stop.abort();
  };
  if (rewritten === 'stop')
    await expect(read()).rejects.toMatchObject({ code: 'RESYNC_REQUIRED', message: expect.stringContaining('truncated') });
  else {
    await read();
    expect(warned.filter((message) => message.includes('truncated'))).toHaveLength(1);
  }
});

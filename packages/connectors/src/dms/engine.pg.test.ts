import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { capture, load, pipeline } from '@millrace/core';
import { compile, type PlanStage, runStage } from '@millrace/core/runtime';
import { Choices, MemoryDatabase, memoryDatabase, seeded, testContext } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { filesIn } from '../../../../test/dms-files.ts';
import type { WrittenAs } from '../../../../test/dms-formats.ts';
import { dmsServer, targetOf } from '../../../../test/dms-server.ts';
import { DmsTask } from '../../../../test/dms-task.ts';
import { testDatabase } from '../../../../test/postgres.ts';
import { dmsTables, dmsWork, texts } from '../../test/dms-workload.ts';
import { postgres } from '../postgres/index.ts';
import { s3 } from '../s3/index.ts';
import { dms } from './engine.ts';
import { completeOutput, type S3Output } from './output.ts';

const outputs: Readonly<Record<string, S3Output>> = {
  parquet: {},
  CSV: { DataFormat: 'csv' },
  transactions: { PreserveTransactions: true, CdcPath: 'tx' },
};

test.each(Object.entries(outputs))('a mirror in Postgres equals the source: %s', async (_, output) => {
  await using server = await dmsServer();
  await using db = await testDatabase();
  const database = new MemoryDatabase(dmsTables);
  const folder = mkdtempSync(join(tmpdir(), 'millrace-dms-'));
  const arn = 'arn:aws:dms:eu-west-1:123456789012:task:T';
  const task = new DmsTask({
    arn,
    database,
    tables: dmsTables,
    files: filesIn(folder),
    output: completeOutput(output) as WrittenAs,
    sequence: true,
    keyBefore: !output.PreserveTransactions,
    overlap: 3,
  });
  server.tasks.set(arn, task);
  server.endpoints.set(targetOf(arn), { ...completeOutput(output), BucketName: 'lake' });
  const engine = dms({
    task: arn,
    files: s3({ url: pathToFileURL(folder).href }),
    output,
    settle: '0s',
    poll: '10ms',
    look: '10ms',
    endpoint: server.endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const changes = capture(memoryDatabase(database), { tables: dmsTables, engine });
  const mirrored = load(changes, postgres({ url: db.url }).apply({ schema: 'mirror' }));
  const made = pipeline({ name: 'p', steps: { changes, mirrored } });
  const stage = compile(made).stages[0] as PlanStage;
  const now = new Date().toISOString();
  let epoch = 0;
  const catchUp = async () => {
    const { signal, log, spool, secret } = testContext();
    await runStage(
      {
        run: { id: 'r', pipeline: 'p', logicalTime: now, date: now.slice(0, 10), window: null, params: {} },
        runAt: now,
        fullRefresh: false,
        stage,
        epoch: ++epoch,
        redone: 0,
        files: {},
        earlier: { plan: null, parts: [] },
        concurrency: 2,
        memoryBudget: 256 * 1024 * 1024,
        until: 'caught-up',
      },
      made,
      {
        signal,
        log,
        spool,
        secret,
        now: () => new Date(),
        progress: () => {},
        storePlan: async () => {},
        storePart: async () => {},
        forgetParts: async () => {},
      },
    );
  };
  const choices = new Choices(seeded(7));
  const keyChanges = !output.PreserveTransactions;
  for (let left = 8; left > 0; left--) dmsWork(database, choices, texts, keyChanges);
  await catchUp();
  for (let round = 0; round < 2; round++) {
    for (let left = 8; left > 0; left--) dmsWork(database, choices, texts, keyChanges);
    const files = await task.changes(() => 1 + choices.below(6), output.PreserveTransactions === true);
    for (const file of files.toReversed()) await task.deliver(file);
    await catchUp();
  }
  const things = await db.sql(
    `select id::text, note, flag, amount::text, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, day::text, encode(raw, 'hex') as raw, score from mirror.things order by id`,
  );
  const expected = database
    .rows('things')
    .map((row) => ({
      ...row,
      id: String(row['id']),
      raw: row['raw'] === null ? null : Buffer.from(row['raw'] as Uint8Array).toString('hex'),
    }))
    .sort((a, b) => Number(a.id) - Number(b.id));
  expect(things).toEqual(expected);
  const pairs = await db.sql(`select a, b, n from mirror."100% off, ""all""" order by a, b collate "C"`);
  const byKey = (row: Readonly<Record<string, unknown>>) => `${row['a']} ${Buffer.from(String(row['b'])).toString('hex')}`;
  expect(pairs.map(byKey).sort()).toEqual(database.rows('pairs').map(byKey).sort());
});

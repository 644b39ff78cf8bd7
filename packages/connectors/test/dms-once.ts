/**
 * One attempt at following what DMS writes to a bucket, until it has all that is there, in a process that a test kills:
 * `node dms-once.js '{"arn": "…", …}'`. The task, the bucket and the mirror outlive it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, load, pipeline } from '@millrace/core';
import { compile, type PlanStage, runStage } from '@millrace/core/runtime';
import { MemoryDatabase, memoryDatabase } from '@millrace/core/testing';
import { dms } from '../src/dms/engine.ts';
import type { S3Output } from '../src/dms/output.ts';
import { postgres } from '../src/postgres/index.ts';
import { s3 } from '../src/s3/index.ts';
import { dmsTables } from './dms-workload.ts';

export interface DmsErrand {
  readonly arn: string;
  readonly dms: string;
  readonly bucket: string;
  readonly s3: string;
  readonly database: string;
  readonly output: S3Output;
  readonly epoch: number;
}

const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

export async function followOnce({ arn, dms: endpoint, bucket, s3: store, database, output, epoch }: DmsErrand): Promise<void> {
  const spool = mkdtempSync(join(tmpdir(), 'millrace-dms-once-'));
  const files = s3({ url: bucket, endpoint: store, region: 'us-east-1', credentials });
  const engine = dms({ task: arn, files, output, settle: '0s', poll: '10ms', look: '10ms', transactionWait: '0s', endpoint, credentials });
  const changes = capture(memoryDatabase(new MemoryDatabase(dmsTables)), { tables: dmsTables, engine });
  const mirrored = load(changes, postgres({ url: database }).apply({ schema: 'mirror' }));
  const made = pipeline({ name: 'p', steps: { changes, mirrored } });
  const runAt = '2026-03-29T00:00:00.000Z';
  const log = () => {};
  try {
    await runStage(
      {
        run: { id: 'r', pipeline: 'p', logicalTime: runAt, date: runAt.slice(0, 10), window: null, params: {} },
        runAt,
        fullRefresh: false,
        stage: compile(made).stages[0] as PlanStage,
        epoch,
        redone: 0,
        files: {},
        earlier: { plan: null, parts: [] },
        concurrency: 2,
        memoryBudget: 256 * 1024 * 1024,
        until: 'caught-up',
      },
      made,
      {
        signal: new AbortController().signal,
        log: { info: log, warn: log },
        spool,
        secret: async ({ name }) => name,
        now: () => new Date(),
        progress: log,
        storePlan: async () => {},
        storePart: async () => {},
        forgetParts: async () => {},
      },
    );
  } finally {
    rmSync(spool, { recursive: true, force: true });
  }
}

if (process.argv[2]?.startsWith('{'))
  void followOnce(JSON.parse(process.argv[2]) as DmsErrand).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error instanceof Error && 'code' in error ? `${String(error.code)} ${error.message}` : error);
      process.exit(1);
    },
  );

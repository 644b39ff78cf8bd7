import { Choices, MemoryDatabase, seeded } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../../../../test/bundle.ts';
import { AttemptProcess, passes } from '../../../../test/crash/processes.ts';
import type { TaskFiles, Written } from '../../../../test/dms-files.ts';
import type { WrittenAs } from '../../../../test/dms-formats.ts';
import { type DmsServer, dmsServer, targetOf } from '../../../../test/dms-server.ts';
import { DmsTask } from '../../../../test/dms-task.ts';
import { testDatabase } from '../../../../test/postgres.ts';
import { type TestBucket, testBucket } from '../../../../test/s3.ts';
import { type DmsErrand, followOnce } from '../../test/dms-once.ts';
import { dmsTables, dmsWork, texts } from '../../test/dms-workload.ts';
import { dmsFailpoints } from './failpoints.ts';
import { completeOutput, type S3Output } from './output.ts';

let server: DmsServer;
let program: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  server = await dmsServer();
  program = await bundled(new URL('../../test/dms-once.ts', import.meta.url));
});
afterAll(async () => {
  await program?.[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const inBucket = ({ endpoint, bucket, prefix }: TestBucket): TaskFiles => {
  const at = (key: string): string => `${endpoint}/${bucket}/${prefix}/${key.split('/').map(encodeURIComponent).join('/')}`;
  const must = async (answer: Response): Promise<void> => {
    if (!answer.ok) throw new Error(`moto answered ${answer.status} ${await answer.text()}`);
  };
  return {
    put: async ({ key, body }) => must(await fetch(at(key), { method: 'PUT', body: new Uint8Array(body) })),
    async remove(keys) {
      for (const key of keys) await must(await fetch(at(key), { method: 'DELETE' }));
    },
  };
};

let made = 0;

/** A task that writes into a bucket, and a mirror in Postgres. */
async function scene(output: S3Output) {
  const [bucket, mirror] = await Promise.all([testBucket(), testDatabase()]);
  const database = new MemoryDatabase(dmsTables);
  const arn = `arn:aws:dms:us-east-1:123456789012:task:S${++made}`;
  const complete = completeOutput(output);
  const keyBefore = !output.PreserveTransactions;
  const task = new DmsTask({
    arn,
    database,
    tables: dmsTables,
    files: inBucket(bucket),
    output: complete as WrittenAs,
    sequence: true,
    keyBefore,
  });
  server.tasks.set(arn, task);
  server.endpoints.set(targetOf(arn), { BucketName: bucket.bucket, BucketFolder: bucket.prefix, ...complete });
  const choices = new Choices(seeded(23));
  const errand = (epoch: number): DmsErrand => ({
    arn,
    dms: server.endpoint,
    bucket: bucket.url,
    s3: bucket.endpoint,
    database: mirror.url,
    output,
    epoch,
  });
  return {
    bucket,
    mirror,
    database,
    task,
    errand,
    work(transactions: number): void {
      for (let left = transactions; left > 0; left--) dmsWork(database, choices, texts, keyBefore);
    },
    /** Changes so far, the last file first. */
    written: async (): Promise<Written[]> =>
      (await task.changes(() => 1 + choices.below(4), output.PreserveTransactions === true)).toReversed(),
    process: (epoch: number, failpoint = '') =>
      new AttemptProcess(program.file, errand(epoch) as unknown as ConstructorParameters<typeof AttemptProcess>[1], failpoint),
    async [Symbol.asyncDispose]() {
      await bucket[Symbol.asyncDispose]();
      await mirror[Symbol.asyncDispose]();
    },
  };
}

type Scene = Awaited<ReturnType<typeof scene>>;

async function expectEqual({ mirror, database }: Scene): Promise<void> {
  const things = await mirror.sql(
    `select id::int as id, note, flag, amount::text, encode(raw, 'hex') as raw from mirror.things order by 1`,
  );
  const expected = database.rows('things').map(({ id, note, flag, amount, raw }) => ({
    id: Number(id),
    note,
    flag,
    amount,
    raw: raw === null ? null : Buffer.from(raw as Uint8Array).toString('hex'),
  }));
  expect(things).toEqual(expected.sort((a, b) => a.id - b.id));
  const pairs = await mirror.sql(`select a, b, n from mirror."100% off, ""all"""`);
  const plain = (rows: readonly object[]): string[] => rows.map((row) => JSON.stringify(row)).sort();
  expect(plain(pairs)).toEqual(plain(database.rows('pairs').map(({ a, b, n }) => ({ a, b, n }))));
}

test.each([
  { DataFormat: 'csv', CompressionType: 'gzip' },
  { PreserveTransactions: true, CdcPath: 'tx' },
] satisfies S3Output[])(
  'killed at any instant over a bucket whose files come late and twice, nothing is lost and nothing comes twice (%o)',
  { timeout: 300_000 },
  async (output) => {
    await using calm = await scene(output);
    calm.work(4);
    const begun = await passes(program.file, calm.errand(1) as unknown as Parameters<typeof passes>[1]);
    calm.work(6);
    for (const file of await calm.written()) await calm.task.deliver(file);
    const followed = await passes(program.file, calm.errand(2) as unknown as Parameters<typeof passes>[1]);
    expect([...begun.keys(), ...followed.keys()]).toEqual(expect.arrayContaining([...dmsFailpoints]));
    await expectEqual(calm);

    await using scenes = await scene(output);
    let epoch = 0;
    const killed: string[] = [];
    const kill = async (point: string): Promise<void> => {
      const { how } = await scenes.process(++epoch, point).end();
      if (how === 'killed') killed.push(point);
    };
    scenes.work(4);
    for (const point of ['dms.task.started', 'engine.stream.followed', 'engine.stream.split-copied']) await kill(point);
    for (const points of [
      ['dms.entry.appended', 'dms.facts.kept'],
      ['postgres.apply.written', 'dms.group.handed', 'engine.stream.released'],
    ]) {
      scenes.work(4);
      const [late, ...files] = await scenes.written();
      for (const file of files) await scenes.task.deliver(file);
      for (const point of points) await kill(point);
      if (files[0]) await scenes.task.deliver(scenes.task.again(files[0]));
      if (late) await scenes.task.deliver(late);
    }
    await followOnce(scenes.errand(++epoch));
    expect(killed.length).toBeGreaterThanOrEqual(6);
    await expectEqual(scenes);
  },
);

test('a bucket that is slow, throttles and loses answers costs time only', async () => {
  await using one = await scene({});
  one.work(4);
  await followOnce(one.errand(1));
  one.work(4);
  for (const file of await one.written()) await one.task.deliver(file);
  for (const fault of [
    { method: 'GET', path: 'list-type=2', with: 503, times: 2 },
    { method: 'GET', path: '.parquet', with: 'cut', times: 1 },
    { method: 'PUT', path: '_millrace', with: 'lost', times: 2 },
    { method: 'GET', path: '_millrace', with: 500, times: 1 },
  ] as const)
    one.bucket.proxy.fail(fault);
  let failures = 0;
  for (let epoch = 2; ; epoch++) {
    const failed = await followOnce(one.errand(epoch)).then(
      () => null,
      (error: { code?: string }) => error,
    );
    if (failed === null) break;
    expect(failed.code).toMatch(/^(CONNECTION_FAILED|REMOTE_UNAVAILABLE)$/);
    expect(++failures).toBeLessThan(6);
  }
  await expectEqual(one);
});

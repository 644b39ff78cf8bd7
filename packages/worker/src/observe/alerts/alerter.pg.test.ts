import { type AlertTarget, decide, makeRunId, type RunStore, type StageOutput, type StoredError, secret } from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { type HttpServer, httpServer } from '../../../test/http-server.ts';
import { environmentSecrets } from '../../secrets/secrets.ts';
import { connect } from '../../store/connect.ts';
import { postgresStore } from '../../store/postgres-store.ts';
import type { Alert, ExpectedRun } from './alert.ts';
import { Alerter } from './alerter.ts';
import { alertTargets } from './target.ts';

const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [], notices: [], checks: [] };
const error: StoredError = { code: 'TYPE_MISMATCH', message: 'Column "total" <n/a> of row 7.', remedy: 'Cast it.', facts: {} };
const patience = { timeout: 30_000, interval: 20 };

let database: TestDatabase;
let store: RunStore;
let server: HttpServer;
const told: string[] = [];
const failures: unknown[] = [];

beforeEach(async () => {
  database = await testDatabase();
  store = await postgresStore(database.url);
  server = await httpServer();
  told.length = 0;
  failures.length = 0;
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
  expect(failures).toEqual([]);
});

const secrets = () => environmentSecrets({ directory: '/nowhere', sources: ['env'], env: { HOOK: `${server.url}/hook/T0/geheim` } });

/** A process that looks; `alerts` as an environment has them. */
async function alerter(
  alerts: Readonly<Record<string, AlertTarget>> = { oncall: { webhook: secret('HOOK') } },
  expected?: () => ExpectedRun[],
  answerMs = 10_000,
): Promise<AsyncDisposable> {
  const redaction = secrets();
  const targets = await alertTargets(alerts, redaction);
  const connection = connect(database.url);
  const one = new Alerter({
    connection,
    targets,
    ...(expected && { expected }),
    told: (target, kind, result, reason) => told.push([target, kind, result, ...(reason === null ? [] : [reason])].join(' ')),
    failed: (reason) => failures.push(reason),
    worked: () => {},
    redact: (text) => redaction.redact(text),
    everyMs: 40,
    answerMs,
    pauseMs: 20,
  });
  // What was before the first look is not told.
  await vi.waitFor(async () => {
    const rows = await database.sql('select 1 from millrace.look');
    expect(rows).toHaveLength(Object.keys(alerts).length);
  }, patience);
  return {
    async [Symbol.asyncDispose]() {
      await one.close(1_000);
      await connection[Symbol.asyncDispose]();
    },
  };
}

/** A run of one stage that ends so. */
async function ended(pipeline: string, how: 'succeed' | 'fail', logicalTime = '2026-11-22T02:00:00.000Z', given?: string): Promise<string> {
  const plan = planOf(pipeline, [stageOf('a')]);
  const request = requestFor(pipeline, { logicalTime });
  const id = given ?? (await store.create({ id: makeRunId(new Date(), Math.random), request, plan, queue: 'fleet' })).run.id;
  if (!given) await store.transition(id, (record, now) => decide(record, { type: 'admit', rivals: [], limit: 99 }, now));
  const { run } = await store.transition(id, (record, now) => decide(record, { type: 'claim', stage: 'a', worker: 'w' }, now));
  const epoch = run.stages.get('a')?.epoch ?? 0;
  await store.transition(id, (record, now) =>
    decide(
      record,
      how === 'succeed' ? { type: 'succeed', stage: 'a', epoch, output } : { type: 'fail', stage: 'a', epoch, error, random: 1 },
      now,
    ),
  );
  return id;
}

const received = (): Alert[] => server.received.map(({ body }) => JSON.parse(body) as Alert);
const kinds = () => received().map(({ kind, pipeline }) => `${kind} ${pipeline}`);

/** Long enough for several looks of everybody. */
const quiet = () => new Promise((resolve) => setTimeout(resolve, 400));

it('tells a failure and the first success after it once, however many processes look', async () => {
  await ended('before', 'fail');
  const processes = await Promise.all(Array.from({ length: 4 }, () => alerter()));
  const run = await ended('p', 'fail');
  await vi.waitFor(() => expect(kinds()).toEqual(['failed p']), patience);
  expect(received()[0]).toMatchObject({
    version: 1,
    run,
    title: 'p failed',
    code: 'TYPE_MISMATCH',
    text: `${error.message}\nCast it.\n"millrace runs show ${run}" shows the run.`,
    logicalTime: '2026-11-22T02:00:00.000Z',
  });
  expect(server.received[0]?.headers['idempotency-key']).toBe(encodeURIComponent(received()[0]?.id ?? ''));
  await ended('other', 'succeed');
  await ended('p', 'succeed');
  await ended('p', 'succeed');
  await vi.waitFor(() => expect(kinds()).toEqual(['failed p', 'recovered p']), patience);
  await quiet();
  expect(kinds()).toEqual(['failed p', 'recovered p']);
  for (const one of processes) await one[Symbol.asyncDispose]();
});

it('tells thirty failures to two targets, each of them once, from four processes', async () => {
  const alerts = {
    one: { webhook: `${server.url}/one` },
    two: { webhook: `${server.url}/two`, on: ['failed'], pipelines: ['p1'] },
  } as const;
  const processes = await Promise.all(Array.from({ length: 4 }, () => alerter(alerts)));
  for (let i = 0; i < 30; i++) await ended(`p${i % 3}`, 'fail');
  await vi.waitFor(() => expect(server.received.length).toBeGreaterThanOrEqual(40), patience);
  await quiet();
  const ids = server.received.map(({ path }, i) => `${path} ${received()[i]?.id}`);
  expect(new Set(ids).size).toBe(40);
  expect(ids).toHaveLength(40);
  expect(server.received.filter(({ path }) => path === '/two').length).toBe(10);
  for (const one of processes) await one[Symbol.asyncDispose]();
});

it('waits while the webhook is away, says so without its address, and tells when it is back', async () => {
  await using _ = await alerter();
  server.answer = (_, response) => void response.writeHead(503).end('no');
  await ended('p', 'fail');
  await vi.waitFor(() => expect(server.received.length).toBeGreaterThan(2), patience);
  const port = Number(new URL(server.url).port);
  await server[Symbol.asyncDispose]();
  await vi.waitFor(() => expect(told.some((line) => line.includes('ECONNREFUSED'))).toBe(true), patience);
  server = await httpServer(undefined, port);
  await vi.waitFor(() => expect(told.at(-1)).toBe('oncall failed sent'), patience);
  expect(kinds()).toEqual(['failed p']);
  expect(told[0]).toBe('oncall failed failed answered 503');
  await vi.waitFor(async () => expect(await database.sql('select at from millrace.alert')).toEqual([{ at: 'sent' }]), patience);
  const rows = await database.sql<{ tries: number; everything: string }>('select tries, a::text as everything from millrace.alert a');
  expect(rows[0]?.tries).toBeGreaterThan(3);
  expect(`${told.join()}${rows[0]?.everything}`).not.toMatch(/geheim|\/hook/);
});

it('does not let a target that hangs hold up another', async () => {
  await using _ = await alerter({ hangs: { webhook: `${server.url}/hangs` }, works: { webhook: `${server.url}/works` } });
  server.answer = ({ path }, response) => void (path === '/works' && response.end());
  for (let i = 0; i < 5; i++) await ended('p', 'fail');
  await vi.waitFor(() => expect(server.received.filter(({ path }) => path === '/works')).toHaveLength(5), patience);
});

it('leaves an alert that a process died with to the next, under the same id', async () => {
  await using _ = await alerter(undefined, undefined, 300);
  server.answer = () => {}; // it dies before the answer
  await ended('p', 'fail');
  await vi.waitFor(() => expect(server.received).toHaveLength(1), patience);
  server.answer = (_, response) => void response.end();
  await database.sql(`update millrace.alert set next_at = clock_timestamp()`);
  await vi.waitFor(() => expect(told.at(-1)).toBe('oncall failed sent'), patience);
  expect(new Set(received().map(({ id }) => id)).size).toBe(1);
});

it('does not move on past a transaction that is still open, and finds what it has written', async () => {
  await using _ = await alerter();
  const run = await ended('p', 'fail');
  await vi.waitFor(() => expect(kinds()).toHaveLength(1), patience);
  await using writer = connect(database.url);
  await writer.db.transaction().execute(async (trx) => {
    await trx.insertInto('look').values({ name: 'a writer' }).execute(); // it has an id from here on
    const [{ began }] = (await database.sql<{ began: Date }>('select clock_timestamp() as began')) as [{ began: Date }];
    await database.sql('update millrace.look set done_to = $1', [new Date(began.getTime() - 1)]);
    await quiet();
    const [{ mark }] = (await database.sql<{ mark: Date }>('select max(done_to) as mark from millrace.look')) as [{ mark: Date }];
    expect(mark.getTime()).toBeLessThanOrEqual(began.getTime());
    await sql`insert into millrace.run_event (run, seq, at, type, body)
      select run, seq + 1, ${new Date(began.getTime() + 1)}, type, body from millrace.run_event where run = ${run} and type = 'run.failed'`.execute(
      trx,
    );
  });
  await vi.waitFor(() => expect(kinds()).toHaveLength(2), patience);
});

it('tells once that a run is late, and that it has come', async () => {
  const now = Date.now();
  const time = new Date(now - 60_000).toISOString();
  const inTime = new Date(now - 120_000).toISOString();
  const soon = new Date(now + 3_600_000).toISOString();
  let deadline = new Date(now + 3_600_000).toISOString();
  const expected = (): ExpectedRun[] => [
    { pipeline: 'p', logicalTime: time, deadline },
    { pipeline: 'p', logicalTime: inTime, deadline },
    { pipeline: 'before', logicalTime: inTime, deadline: inTime }, // nobody wanted to know then
    { pipeline: 'p', logicalTime: soon, deadline: soon },
  ];
  const processes = await Promise.all(Array.from({ length: 3 }, () => alerter({ oncall: { webhook: secret('HOOK') } }, expected)));
  await ended('p', 'succeed', inTime);
  await quiet();
  expect(kinds()).toEqual([]);
  deadline = new Date().toISOString();
  await vi.waitFor(() => expect(kinds()).toEqual(['late p']), patience);
  expect(received()[0]).toMatchObject({ title: 'p is late', logicalTime: time, text: expect.stringContaining('No run was made for it.') });
  await ended('p', 'succeed', time);
  await vi.waitFor(() => expect(kinds()).toEqual(['late p', 'recovered p']), patience);
  await quiet();
  expect(kinds()).toHaveLength(2);
  for (const one of processes) await one[Symbol.asyncDispose]();
});

it('tells the failure of a run that was tried again as another one', async () => {
  await using _ = await alerter();
  const run = await ended('p', 'fail');
  await vi.waitFor(() => expect(kinds()).toEqual(['failed p']), patience);
  await store.transition(run, (record, now) => decide(record, { type: 'reopen', from: [] }, now));
  await store.transition(run, (record, now) => decide(record, { type: 'admit', rivals: [], limit: 99 }, now));
  await ended('p', 'fail', undefined, run);
  await vi.waitFor(() => expect(kinds()).toEqual(['failed p', 'failed p']), patience);
});

it('speaks as Slack and as SNS want it', async () => {
  for (const [name, value] of Object.entries({ AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x', AWS_ENDPOINT_URL_SNS: server.url }))
    vi.stubEnv(name, value);
  try {
    await using _ = await alerter({
      chat: { slack: `${server.url}/slack` },
      topic: { sns: 'arn:aws:sns:eu-west-1:123456789012:etl.fifo' },
    });
    server.answer = ({ path }, response) =>
      void response.end(
        path === '/slack' ? 'ok' : '<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>',
      );
    await ended('p', 'fail');
    await vi.waitFor(() => expect(told.toSorted()).toEqual(['chat failed sent', 'topic failed sent']), patience);
  } finally {
    vi.unstubAllEnvs();
  }
  const slack = JSON.parse(server.received.find(({ path }) => path === '/slack')?.body ?? '') as {
    text: string;
    blocks: { text?: { text: string } }[];
  };
  expect(slack.text).toBe('p failed');
  expect(slack.blocks[0]?.text?.text).toContain('Column "total" &lt;n/a&gt; of row 7.');
  const sns = new URLSearchParams(server.received.find(({ path }) => path !== '/slack')?.body);
  expect(sns.get('TopicArn')).toBe('arn:aws:sns:eu-west-1:123456789012:etl.fifo');
  expect(sns.get('Subject')).toBe('p failed');
  expect(sns.get('MessageGroupId')).toBe('p');
  expect(JSON.parse(sns.get('Message') ?? '')).toMatchObject({ kind: 'failed', pipeline: 'p' });
});

it('refuses addresses that are none, without showing them', async () => {
  for (const target of [{ webhook: 'geheim' }, { slack: 'ftp://geheim/x' }, { sns: 'geheim' }] as const) {
    const refused = await alertTargets({ oncall: target }, secrets()).catch((reason: unknown) => reason);
    expect(refused).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(JSON.stringify(refused) + String(refused)).not.toContain('geheim');
  }
});

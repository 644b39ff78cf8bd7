import { expect, it } from 'vitest';
import { type ExecuteRequest, pipeline, run, type Step, step } from '../author/index.ts';
import type { SqlConnection, SqlRequest } from '../connector/index.ts';
import { compile, type PlanStage } from '../plan/index.ts';
import { testContext } from '../testing/context.ts';
import { runStage } from './run-stage.ts';
import type { StageJob } from './stage-job.ts';

type Parts<Kind> = Omit<Extract<ExecuteRequest, { kind: Kind }>, 'connection'>;

/** One execute stage against a database that answers as it is told, and what it was asked. */
function world(
  request: Parts<'sql'> | Parts<'call'> | Parts<'check'>,
  answers: Record<string, Record<string, string | null>[]> = {},
  dialect: SqlConnection['dialect'] = 'postgres',
) {
  const asked: (SqlRequest | { text: string; values: unknown })[] = [];
  const log: string[] = [];
  const connection: SqlConnection = {
    kind: 'connection',
    connector: 'test',
    label: 'test',
    dialect,
    examine: async () => [],
    sql: () => ({
      async execute(sql) {
        asked.push(sql);
        return { alreadyDone: false, rowsAffected: [7], notices: ['done'] };
      },
      async query(text, values) {
        asked.push({ text, values });
        return Object.entries(answers).find(([part]) => text.includes(part))?.[1] ?? [];
      },
    }),
  };
  const one: Step = step('nothing', {
    input: null,
    schema: null,
    options: {},
    work: { kind: 'execute', request: { ...request, connection } as ExecuteRequest },
  });
  const made = pipeline({ name: 'p', steps: { one } });
  const stage = compile(made).stages[0] as PlanStage;
  const context = testContext({ log: { info: (line) => log.push(line), warn: (line) => log.push(`! ${line}`) } });
  const facts = { ...context.run, id: 'r1', date: '2026-03-29', params: { country: 'FR' } };
  const job: StageJob = {
    run: facts,
    runAt: '',
    fullRefresh: false,
    stage,
    epoch: 3,
    redone: 0,
    files: {},
    earlier: { plan: null, parts: [] },
    concurrency: 1,
    memoryBudget: 1,
  };
  const ports = { ...context, progress: () => {}, storePlan: async () => {}, storePart: async () => {}, forgetParts: async () => {} };
  return { asked, log, attempt: (more: Partial<StageJob> = {}) => runStage({ ...job, ...more }, made, ports) };
}

it('a procedure is called with the values of the run, under a quoted name and a fence', async () => {
  const { attempt, asked, log } = world({
    kind: 'call',
    procedure: 'analytics."re""fresh"',
    args: [run.date, 5, null, run.param('country')],
    transaction: true,
  });
  expect(await attempt()).toMatchObject({ kind: 'execute', rowsAffected: [7] });
  expect(asked).toMatchObject([
    {
      fence: { key: 'r1/one', epoch: 3 },
      transaction: true,
      statements: [{ text: 'CALL "analytics"."re""fresh"($1, $2, $3, $4)', values: ['2026-03-29', 5, null, 'FR'] }],
    },
  ]);
  expect(log).toEqual(['done']);
});

it('is the same work in every attempt at a run, and another when it is asked for again', async () => {
  const { attempt, asked } = world({ kind: 'sql', statements: [{ text: 'delete from t', values: [] }], transaction: true });
  await attempt();
  await attempt({ epoch: 4 });
  await attempt({ redone: 1 });
  const [first, second, third] = asked.map((one) => (one as SqlRequest).id);
  expect(first).toBe(second);
  expect(third).not.toBe(first);
});

it('a value that the run does not have is named', async () => {
  const sql = (value: unknown): Parts<'sql'> => ({ kind: 'sql', statements: [{ text: 'x', values: [value as never] }], transaction: true });
  await expect(world(sql(run.window.start)).attempt()).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('run.window.start'),
  });
  await expect(world(sql(run.param('x'))).attempt()).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    remedy: expect.stringContaining('--param x'),
  });
});

const expectation = (parts: object) => ({
  kind: 'check' as const,
  expectations: [
    {
      name: 'no orphans',
      severity: 'fail' as const,
      query: { text: 'select id from orphans;', values: [] },
      expect: 'violations' as const,
      ...parts,
    },
  ],
});

it('a query that finds violations fails with their number and some of them', async () => {
  const { attempt, asked } = world(expectation({}), { 'LIMIT 5': [{ id: '1' }, { id: '2' }], 'count(*)': [{ violations: '12' }] });
  await expect(attempt()).rejects.toMatchObject({ code: 'CHECK_FAILED', message: expect.stringContaining('12 violations') });
  expect(asked[0]).toMatchObject({ text: 'SELECT * FROM (\nselect id from orphans\n) AS violations LIMIT 5' });
});

it.each([
  ['t', true],
  ['f', false],
  [null, false],
])('a query that must hold and answers %s', async (answer, passed) => {
  const { attempt } = world(expectation({ expect: 'holds', severity: 'warn' }), { orphans: [{ ok: answer }] });
  expect(await attempt()).toMatchObject({ checks: [{ passed }] });
});

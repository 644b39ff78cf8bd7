import type { ExecuteRequest, Pipeline, QueryExpectation } from '../author/index.ts';
import type { CheckResult, Context, SqlResult, SqlRunner, SqlStatement } from '../connector/index.ts';
import { nameParts } from '../schema/index.ts';
import type { StageOutput } from '../state/index.ts';
import { notThisPipeline, stepOf } from './chain.ts';
import { gate } from './checks.ts';
import { passing } from './failpoints.ts';
import { executeId } from './load-id.ts';
import type { Meter } from './meter.ts';
import { bind, bindArgument } from './run-value.ts';
import type { StageJob } from './stage-job.ts';

/** Lets a database do the work: statements, a procedure, a task, queries that must hold. */
export async function runExecute(job: StageJob, pipeline: Pipeline, context: Context, meter: Meter): Promise<StageOutput> {
  const { stage } = job;
  const { work } = stepOf(pipeline, stage.id);
  if (work.kind !== 'execute') throw notThisPipeline(pipeline, stage);
  const { request } = work;
  meter.expect(1, { rows: null, bytes: null });
  meter.enter('executing');
  if (request.kind === 'check') return checked(job, request.expectations, request.connection.sql(), context);
  const result = await executed(request, job, context);
  passing('engine.execute.done');
  for (const notice of result.notices) context.log.info(notice);
  meter.splitDone();
  return {
    kind: 'execute',
    alreadyDone: result.alreadyDone,
    rowsAffected: result.rowsAffected,
    notices: result.notices.slice(0, 100),
    checks: [],
  };
}

function executed(request: Exclude<ExecuteRequest, { kind: 'check' }>, job: StageJob, context: Context): Promise<SqlResult> {
  const { stage, run } = job;
  const once = { id: executeId(job, stage.id), fence: { key: `${run.id}/${stage.id}`, epoch: job.epoch } };
  if (request.kind === 'task') {
    return request.connection.tasks().perform(request.task, { ...once, owner: { pipeline: run.pipeline, step: stage.id } }, context);
  }
  const statements = request.kind === 'call' ? [callStatement(request, job)] : request.statements.map((statement) => bind(statement, run));
  return request.connection.sql().execute({ ...once, statements, transaction: request.transaction }, context);
}

function callStatement({ connection, procedure, args }: Extract<ExecuteRequest, { kind: 'call' }>, job: StageJob): SqlStatement {
  const quote = connection.dialect === 'mysql' ? '`' : '"';
  const name = (nameParts(procedure) ?? [procedure]).map((part) => `${quote}${part.replaceAll(quote, quote + quote)}${quote}`).join('.');
  const places = args.map((_, i) => (connection.dialect === 'mysql' ? '?' : `$${i + 1}`));
  return { text: `CALL ${name}(${places.join(', ')})`, values: args.map((value) => bindArgument(value, job.run)) };
}

/** Rows of a violation that are shown. */
const sampleSize = 5;

async function checked(
  job: StageJob,
  expectations: readonly QueryExpectation[],
  runner: SqlRunner,
  context: Context,
): Promise<StageOutput> {
  const checks: CheckResult[] = [];
  for (const expectation of expectations) {
    context.signal.throwIfAborted();
    checks.push(await check(expectation, job, runner, context));
  }
  gate(job.stage.id, checks, context.log);
  return { kind: 'execute', alreadyDone: false, rowsAffected: [], notices: [], checks };
}

async function check(
  { name, severity, query, expect }: QueryExpectation,
  job: StageJob,
  runner: SqlRunner,
  context: Context,
): Promise<CheckResult> {
  const { text, values } = bind(query, job.run);
  const texts = values.map((value) => (value === null ? null : String(value)));
  const result = (passed: boolean, found: string, sample: readonly string[]): CheckResult => ({
    check: name,
    severity,
    passed,
    found,
    sample,
  });
  if (expect === 'holds') {
    const [row] = await runner.query(text, texts, context);
    const [column, value] = Object.entries(row ?? {})[0] ?? ['', null];
    const passed = value === 't' || value === 'true' || value === '1';
    return result(passed, row === undefined ? 'the query gives no row' : `${column} is ${value ?? 'NULL'}`, []);
  }
  const inner = text.replace(/[\s;]+$/, '');
  const rows = await runner.query(`SELECT * FROM (\n${inner}\n) AS violations LIMIT ${sampleSize}`, texts, context);
  if (rows.length === 0) return result(true, 'no violations', []);
  const [count] = await runner.query(`SELECT count(*) AS violations FROM (\n${inner}\n) AS violations`, texts, context);
  const violations = count?.['violations'] ?? String(rows.length);
  return result(
    false,
    `${violations} violations`,
    rows.map((row) => JSON.stringify(row).slice(0, 500)),
  );
}

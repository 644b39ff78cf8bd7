import { compile, type Plan, renderPlan } from '@millrace/core/runtime';
import type { Cost } from '@millrace/step-functions';
import type { LoadedPipeline } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { planDiff } from '../plan/diff.ts';
import { previewReads, previewTasks, type ReadPreview, type TaskPreview } from '../plan/preview.ts';
import { environmentWarnings, warn } from '../project/environment-warnings.ts';
import { findPipeline, listPipelines } from '../project/pipelines.ts';
import type { Session } from '../session.ts';
import { costLines, type ExecutorReport, executorReport, planCost, reportLines } from '../step-functions/report.ts';
import { stepFunctionsSettings } from '../step-functions/settings.ts';
import type { Terminal } from '../terminal.ts';
import { bytes, counted } from '../text/amount.ts';
import { failureJson, storedError } from '../text/failure.ts';
import { alignedTable } from '../text/table.ts';
import { onOneLine } from '../text/width.ts';

export interface PlanOptions {
  readonly diff?: true;
  readonly connect?: true;
  readonly executor?: 'step-functions';
  readonly cost?: true;
  readonly minutes: number;
}

export async function plan(session: Session, wanted: string | undefined, options: PlanOptions): Promise<ExitCode> {
  if (wanted === undefined) return list(session);
  const { terminal } = session;
  const loaded = await findPipeline(await session.project(), wanted, session.calledFrom);
  const compiled = compile(loaded.pipeline);
  warnUnlisted(terminal, loaded);
  const warnings = await environmentWarnings(session, compiled);
  warn(terminal, warnings);
  if (options.diff) return showDiff(session, compiled);
  const aws = options.executor || options.cost ? await stepFunctionsFor(session, compiled, options) : {};
  const reads = options.connect ? await previewReads(loaded.pipeline, compiled, await session.context()) : null;
  const tasks = options.connect ? await session.redact(await previewTasks(loaded.pipeline, await session.context())) : [];
  terminal.print(renderPlan(compiled, { style: (style, text) => terminal.out[style](text) }).trimEnd());
  if (reads && (reads.length > 0 || tasks.length === 0)) terminal.print(`\n${readLines(reads).join('\n')}`);
  if (tasks.length > 0) terminal.print(`\n${taskLines(tasks).join('\n')}`);
  const { dim } = terminal.out;
  if (aws.report) terminal.print(`\n${reportLines(aws.report, dim).join('\n')}`);
  if (aws.cost) terminal.print(`\n${costLines(aws.cost, dim).join('\n')}`);
  const executor = aws.report && { executor: 'step-functions', remarks: aws.report.remarks, barriers: aws.report.barriers };
  terminal.emit({
    plan: compiled,
    unlisted: loaded.unlisted,
    warnings,
    ...(reads && { reads }),
    ...(tasks.length > 0 && { tasks: tasks.map(plainTask) }),
    ...executor,
    ...(aws.cost && { cost: aws.cost }),
  });
  return exitCodes.ok;
}

async function stepFunctionsFor(
  session: Session,
  compiled: Plan,
  { executor, cost, minutes }: PlanOptions,
): Promise<{ readonly report?: ExecutorReport; readonly cost?: Cost }> {
  const project = await session.project();
  return {
    ...(executor && { report: executorReport(compiled, project.environment.stepFunctions) }),
    ...(cost && { cost: planCost(compiled, stepFunctionsSettings(project), minutes) }),
  };
}

async function list(session: Session): Promise<ExitCode> {
  const { terminal } = session;
  const files = await listPipelines(await session.project());
  const rows = files.map(({ file, loaded, error }) =>
    loaded
      ? [loaded.pipeline.name, counted(Object.keys(loaded.pipeline.steps).length, 'step'), file]
      : [terminal.out.red('(does not load)'), '', `${file}: ${storedError(error).message.split('\n')[0]}`],
  );
  if (rows.length > 0)
    terminal.print(alignedTable([{ title: 'pipeline' }, { title: 'steps' }, { title: 'file' }], rows, terminal.out.dim).join('\n'));
  else terminal.say(`No file matches ${(await session.project()).config.pipelines}. "millrace init" makes a project with one pipeline.`);
  terminal.emit({
    pipelines: files.map(({ file, loaded, error }) =>
      loaded
        ? { file, name: loaded.pipeline.name, steps: Object.keys(loaded.pipeline.steps) }
        : { file, name: null, ...failureJson(error) },
    ),
  });
  return files.some(({ loaded }) => !loaded) ? exitCodes.usage : exitCodes.ok;
}

/** Steps that were made and forgotten do nothing: that is worth a line wherever a pipeline is loaded. */
export function warnUnlisted(terminal: Terminal, { unlisted }: LoadedPipeline): void {
  for (const line of unlisted) terminal.say(`${terminal.err.yellow('warning')} ${line}`);
}

async function showDiff(session: Session, after: Plan): Promise<ExitCode> {
  const { terminal } = session;
  const executor = await session.executor();
  const [last] = await executor.list({ pipeline: after.pipeline, limit: 1 });
  const before = last ? (await executor.show(last.id)).run.plan : null;
  const changes = planDiff(before, after);
  const since = last ? `since run ${last.id}` : 'no run is stored yet';
  if (changes.length === 0) terminal.print(`${after.pipeline}: no changes ${since}`);
  else {
    const paint = { '+': terminal.out.green, '-': terminal.out.red, '~': terminal.out.yellow };
    terminal.print(`${terminal.out.bold(after.pipeline)}: ${counted(changes.length, 'change')}, ${since}`);
    for (const { sign, what, details } of changes) {
      terminal.print(`${paint[sign](sign)} ${what}`);
      for (const detail of details) terminal.print(terminal.out.dim(`    ${detail}`));
    }
  }
  terminal.emit({
    pipeline: after.pipeline,
    lastRun: last?.id ?? null,
    before: before?.fingerprint ?? null,
    after: after.fingerprint,
    changes,
  });
  return changes.length === 0 ? exitCodes.ok : exitCodes.planChanged;
}

/** Findings of a preview have no deeds, and their errors are told in words. */
const plainTask = ({ stage, findings }: TaskPreview) => ({ stage, findings: findings.map(({ fix: _, error: __, ...finding }) => finding) });

function taskLines(tasks: readonly TaskPreview[]): string[] {
  const rows = tasks.flatMap(({ stage, findings }) =>
    findings.map(({ subject, level, message, remedy }) => [
      stage,
      onOneLine(subject),
      onOneLine(level === 'ok' || !remedy ? message : `${message} → ${remedy}`),
    ]),
  );
  return alignedTable([{ title: 'stage' }, { title: 'subject' }, { title: 'what would be done' }], rows);
}

function readLines(reads: readonly ReadPreview[]): string[] {
  const amount = (value: number | null, text: (value: number) => string) => (value === null ? '?' : text(value));
  return alignedTable(
    [
      { title: 'stage' },
      { title: 'would read' },
      { title: 'splits', align: 'right' },
      { title: 'rows, about', align: 'right' },
      { title: 'bytes, about', align: 'right' },
    ],
    reads.map(({ stage, window, splits, estimate }) => [
      stage,
      window ? `${window.column} from ${window.low ?? 'the beginning'} to ${window.high}` : 'everything',
      String(splits),
      amount(estimate.rows, (rows) => Math.round(rows).toLocaleString('en')),
      amount(estimate.bytes, bytes),
    ]),
  );
}

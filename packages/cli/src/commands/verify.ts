import { type Context, compile, MillraceError } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { Screen } from '../progress/screen.ts';
import { findPipeline } from '../project/pipelines.ts';
import type { Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { count, counted } from '../text/amount.ts';
import { alignedTable } from '../text/table.ts';
import { fitTo, onOneLine } from '../text/width.ts';
import type { RowDifference } from '../verify/difference.ts';
import { targetChecks } from '../verify/load-check.ts';
import { isUncompared, remarks, uncompared } from '../verify/remarks.ts';
import { type StreamCheck, streamChecks } from '../verify/stream-check.ts';
import { streamClock } from '../verify/stream-clock.ts';
import { verifyStreamTable } from '../verify/verify-stream.ts';
import { SideCache, type TargetResult, verifyTarget } from '../verify/verify-target.ts';

export async function verify(
  session: Session,
  wanted: string,
  options: { readonly target: readonly string[]; readonly rows: number },
): Promise<ExitCode> {
  const { terminal } = session;
  const { pipeline } = await findPipeline(await session.project(), wanted, session.calledFrom);
  const plan = compile(pipeline);
  const checks = targetChecks(pipeline, plan, options.target);
  const streams = streamChecks(pipeline, plan, options.target);
  if (checks.length + streams.length === 0) {
    throw new MillraceError('CONFIG_INVALID', {
      message:
        options.target.length > 0
          ? `No load of "${pipeline.name}" is called ${options.target.join(' or ')}.`
          : `"${pipeline.name}" loads nothing.`,
      remedy: '"millrace plan" shows the loads of a pipeline.',
    });
  }
  const context = await session.context();
  using sides = new SideCache(`${context.spool}/verify`);
  const results: TargetResult[] = [];
  for (const check of checks) {
    using watched = watch(terminal, check.loads.map(({ step }) => step).join(', '), context);
    const result = await verifyTarget(pipeline, check, sides, watched.context, options.rows);
    results.push({ ...result, reason: await session.redact(result.reason), differences: await session.redact(result.differences) });
  }
  results.push(...(await verifyStreams(session, pipeline.name, streams, context, options.rows)));
  if (results.every(isUncompared)) throw nothingCompared(pipeline.name);
  const equal = results.every((result) => result.equal);
  show(terminal, results);
  const moving = results.reduce((sum, { stream }) => sum + (stream?.moving ?? 0), 0);
  const but = moving > 0 ? ` ${counted(moving, 'row')} changed each time they were looked at, and could not be compared.` : '';
  terminal.say(`${equal ? `${terminal.err.green('Equal.')}${but}` : terminal.err.red('Different.')}${uncompared(results)}`);
  terminal.emit({ pipeline: pipeline.name, equal, targets: results });
  return equal ? exitCodes.ok : exitCodes.runFailed;
}

/** The tables of streams, one after the other, under the positions of their sinks. */
async function verifyStreams(
  session: Session,
  pipeline: string,
  checks: readonly StreamCheck[],
  context: Context,
  show: number,
): Promise<TargetResult[]> {
  const results: TargetResult[] = [];
  if (checks.length === 0) return results;
  const executor = await session.executor();
  const isFollowed = async (): Promise<boolean> =>
    (await executor.list({ pipeline, states: ['running'], limit: 10 })).some(({ abandoned }) => !abandoned);
  for (const capture of new Set(checks.map((check) => check.capture))) {
    const own = checks.filter((check) => check.capture === capture);
    const sink = async (step: string): Promise<string | null> => {
      if (!(await isFollowed())) return null;
      const known = await executor.streams(pipeline);
      const sinks = known.find((stream) => stream.step === capture)?.progress.stream?.sinks ?? [];
      return sinks.find(({ name }) => name === step)?.position ?? '';
    };
    const { source } = own[0] as StreamCheck;
    await using clock = await streamClock(source, { pipeline, step: capture }, sink, await isFollowed(), context);
    for (const check of own) {
      using watched = watch(session.terminal, `${check.step}: ${check.table}`, context);
      const result = await verifyStreamTable(check, clock, watched.context, show);
      results.push({ ...result, reason: await session.redact(result.reason), differences: await session.redact(result.differences) });
    }
  }
  return results;
}

const nothingCompared = (pipeline: string): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `Nothing of "${pipeline}" can be compared: its targets keep every version of a row, and no current ones.`,
    remedy: 'Add a target that mirrors the tables, or compare what you make of the change log.',
  });

/** Rows read so far, on a terminal. */
function watch(terminal: Terminal, step: string, context: Context): Disposable & { readonly context: Context } {
  if (!terminal.live || terminal.json) return { context, [Symbol.dispose]() {} };
  const screen = new Screen(process.stderr);
  let rows = 0;
  const timer = setInterval(() => screen.draw([terminal.err.dim(`comparing ${step}: ${count(rows)} rows read`)]), 100);
  return {
    context: {
      ...context,
      progress(delta) {
        rows += delta.rows ?? 0;
      },
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      screen.draw([]);
      screen[Symbol.dispose]();
    },
  };
}

function show(terminal: Terminal, results: readonly TargetResult[]): void {
  const { out } = terminal;
  const rows = results.map(({ steps, object, rows, comparison, equal, reason }) => [
    steps.join(', '),
    object,
    comparison ? count(rows.expected) : '',
    comparison ? count(rows.stored) : '',
    comparison?.checksums.expected ?? '',
    comparison?.checksums.stored ?? '',
    equal ? (reason === null ? out.green('equal') : out.dim(reason)) : out.red(reason ?? 'different'),
  ]);
  terminal.print(
    alignedTable(
      [
        { title: 'load' },
        { title: 'target' },
        { title: 'source rows', align: 'right' },
        { title: 'target rows', align: 'right' },
        { title: 'source checksum' },
        { title: 'target checksum' },
        { title: 'result' },
      ],
      rows,
      out.dim,
    ).join('\n'),
  );
  for (const result of results) for (const line of remarks(result)) terminal.say(terminal.err.dim(`${result.steps.join(', ')}: ${line}`));
  for (const result of results) if (result.differences.length > 0) terminal.print(`\n${differenceLines(result, terminal).join('\n')}`);
}

function differenceLines({ steps, comparison, differences }: TargetResult, { out }: Terminal): string[] {
  const all = comparison ? comparison.changed + comparison.onlyExpected + comparison.onlyStored : 0;
  const head = `${out.bold(steps.join(', '))}: ${count(comparison?.changed ?? 0)} changed, ${count(comparison?.onlyExpected ?? 0)} only at the source, ${count(comparison?.onlyStored ?? 0)} only at the target${all > differences.length ? `; the first ${count(differences.length)}` : ''}`;
  return [
    head,
    ...alignedTable(
      [{ title: 'key' }, { title: 'column' }, { title: 'source' }, { title: 'target' }],
      differences.flatMap(differenceRows),
      out.dim,
    ),
  ];
}

/** A value that would fill the screen is cut; `--json` has it whole. */
const valueWidth = 40;

function differenceRows({ kind, key, columns }: RowDifference): string[][] {
  const names = Object.values(key)
    .map((value) => shown(value))
    .join(', ');
  if (kind === 'changed')
    return columns.map(({ column, source, target }, index) => [index === 0 ? names : '', column, shown(source), shown(target)]);
  const row = fitTo(columns.map(({ source, target }) => shown(kind === 'only at source' ? source : target)).join(', '), valueWidth);
  return [kind === 'only at source' ? [names, '(row)', row, 'missing'] : [names, '(row)', 'missing', row]];
}

const shown = (value: string | null): string => (value === null ? 'NULL' : fitTo(value === '' ? "''" : onOneLine(value), valueWidth));

import { type Context, compile, MillraceError } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { Screen } from '../progress/screen.ts';
import { findPipeline } from '../project/pipelines.ts';
import type { Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { count } from '../text/amount.ts';
import { alignedTable } from '../text/table.ts';
import { fitTo, onOneLine } from '../text/width.ts';
import type { RowDifference } from '../verify/difference.ts';
import { targetChecks } from '../verify/load-check.ts';
import { SideCache, type TargetResult, verifyTarget } from '../verify/verify-target.ts';

export async function verify(
  session: Session,
  wanted: string,
  options: { readonly target: readonly string[]; readonly rows: number },
): Promise<ExitCode> {
  const { terminal } = session;
  const { pipeline } = await findPipeline(await session.project(), wanted, session.calledFrom);
  const checks = targetChecks(pipeline, compile(pipeline), options.target);
  if (checks.length === 0) {
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
  const equal = results.every((result) => result.equal);
  show(terminal, results);
  terminal.say(equal ? terminal.err.green('Equal.') : terminal.err.red('Different.'));
  terminal.emit({ pipeline: pipeline.name, equal, targets: results });
  return equal ? exitCodes.ok : exitCodes.runFailed;
}

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
    equal ? out.green('equal') : out.red(reason ?? 'different'),
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

function remarks({ windows, comparison, unfit }: TargetResult): string[] {
  return [
    ...windows.flatMap((window) => (window ? [`compared up to the checkpoint of its load, ${window.column} below ${window.high}`] : [])),
    ...(comparison && comparison.setAside > 0
      ? [`${count(comparison.setAside)} rows left aside: earlier versions, overwritten by another load, or changed at the source since`]
      : []),
    ...(unfit > 0 ? [`${count(unfit)} rows of the source fit no row of the target`] : []),
  ];
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

import { type RunDetail, restoreError, type StageDetail } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { RunsOptions } from '../program.ts';
import { resultOf, stageTable } from '../run-outcome.ts';
import type { Session } from '../session.ts';
import { streamLines } from '../stream/stream-lines.ts';
import type { Terminal } from '../terminal.ts';
import { bytes, counted, duration, moment } from '../text/amount.ts';
import { failureBlock } from '../text/failure.ts';
import { madeBy } from '../text/made-by.ts';
import { onOneLine } from '../text/width.ts';
import { chosenRun } from './latest-run.ts';

export async function runsShow(session: Session, wanted: string | undefined, { executor: kind }: RunsOptions = {}): Promise<ExitCode> {
  const { terminal } = session;
  const executor = await session.executor({ kind });
  const detail = await executor.show(await chosenRun(executor, wanted));
  terminal.print(
    [
      ...headLines(detail, terminal),
      '',
      ...stageTable(detail.run, detail.stages, terminal.out),
      ...detail.stages.flatMap((stage) => stageLines(stage, terminal)),
    ].join('\n'),
  );
  terminal.emit(resultOf(detail));
  return exitCodes.ok;
}

function headLines({ run, waits }: RunDetail, { out }: Terminal): string[] {
  const { request, state } = run;
  const params = Object.entries(request.params).map(([name, value]) => `${name}=${value}`);
  const by = madeBy(request.idempotencyKey);
  return [
    `${out.bold(run.id)}  ${request.pipeline}  ${state.at}${run.cancelRequestedAt !== null && state.at === 'running' ? ', stopping' : ''}`,
    `  made ${moment(run.createdAt)} UTC${by === null ? '' : ` ${by}`} for ${request.date} · plan ${run.plan.fingerprint.slice(0, 12)}${request.fullRefresh ? ' · full refresh' : ''}`,
    ...(request.window ? [`  window ${request.window.start} to ${request.window.end}`] : []),
    ...(params.length > 0 ? [`  ${params.join(' ')}`] : []),
    ...(waits !== null ? [`  ${out.yellow('waits')}: ${waits}`] : []),
  ];
}

/** What the table has no room for: attempts, receipt, checks, and the error with its remedy. */
function stageLines({ id, state, attempts, progress }: StageDetail, { out }: Terminal): string[] {
  const stream = state.at === 'succeeded' && state.output.kind === 'changes' ? state.output.stream : progress?.stream;
  const tries = attempts.length > 1 || attempts.some(({ result }) => result !== 'succeeded') ? attempts : [];
  const lines = [
    ...tries.map(({ attempt, started, ended, result, error, worker }) => {
      const took = ended === null ? '' : ` after ${duration(Date.parse(ended) - Date.parse(started))}`;
      return `  attempt ${attempt}  ${moment(started)}  ${result}${took}  ${out.dim(worker)}${error ? `  ${error.code}: ${onOneLine(error.message)}` : ''}`;
    }),
    ...(stream ? streamLines(stream, out).map((line) => `  ${line}`) : []),
    ...(state.at === 'succeeded' ? receiptLines(state.output) : []),
    ...(state.at === 'failed' || state.at === 'retrying'
      ? failureBlock(restoreError(state.error), out)
          .split('\n')
          .map((line) => `  ${line}`)
      : []),
  ];
  return lines.length > 0 ? ['', out.bold(id), ...lines] : [];
}

function receiptLines(output: Extract<StageDetail['state'], { at: 'succeeded' }>['output']): string[] {
  if (output.kind === 'remote') {
    const { label, handle } = output;
    const told = Object.keys(output.output).length > 0 ? [`  output  ${onOneLine(JSON.stringify(output.output))}`] : [];
    return [`  ${label}  ${handle.id}${handle.link === null ? '' : `  ${handle.link}`}`, ...told];
  }
  const checks = output.checks.map(
    ({ check, severity, passed, found }) => `  ${passed ? 'holds' : severity === 'warn' ? 'warning' : 'fails'}  ${check}: ${found}`,
  );
  if (output.kind === 'execute') return [...output.notices.map((notice) => `  notice  ${onOneLine(notice)}`), ...checks];
  if (output.kind === 'changes') return checks;
  const { receipt } = output;
  const changed = Object.entries(receipt.changed ?? {}).map(([what, rows]) => `${rows} ${what}`);
  const { window } = receipt.checkpoint;
  return [
    `  load ${receipt.loadId.slice(0, 12)}  ${counted(receipt.rows, 'row')}, ${bytes(receipt.bytes)}${changed.length > 0 ? ` (${changed.join(', ')})` : ''}`,
    ...(window ? [`  window  ${window.column} from ${window.low ?? 'the beginning'} to ${window.high}`] : []),
    ...(receipt.files
      ? [
          `  files  ${counted(receipt.files.rows, 'row')} of ${receipt.files.format} in ${receipt.files.location}`,
          `  manifest  ${receipt.files.manifest}`,
        ]
      : []),
    ...checks,
  ];
}

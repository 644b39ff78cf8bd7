import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  codes,
  isEnded,
  type RunDetail,
  type RunRecord,
  restoreError,
  type StageDetail,
  type StageOutput,
  type StageState,
} from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { outputNote, skipText } from './progress/fold.ts';
import type { Colours, Terminal } from './terminal.ts';
import { bytes, count, duration, rate } from './text/amount.ts';
import { failureBlock } from './text/failure.ts';
import { alignedTable } from './text/table.ts';
import { onOneLine } from './text/width.ts';

/** The exit code of a run that has ended. */
export function runOutcome(run: RunRecord): ExitCode {
  const { state } = run;
  if (!isEnded(state)) return exitCodes.leaseHeld;
  switch (state.at) {
    case 'succeeded':
      return exitCodes.ok;
    case 'partial':
      return exitCodes.partial;
    case 'failed':
      return codes[state.error.code].exit;
    case 'cancelled':
      return codes.RUN_CANCELLED.exit;
    default:
      return state satisfies never;
  }
}

/** What a run has done: a table of its stages and the errors with their remedies; for programs the last line of the stream. */
export function showOutcome(terminal: Terminal, detail: RunDetail): void {
  const { run, stages } = detail;
  terminal.print(stageTable(run, stages, terminal.out).join('\n'));
  for (const { id, state } of stages)
    if (state.at === 'failed') terminal.say(`\n${terminal.err.bold(id)}\n${failureBlock(restoreError(state.error), terminal.err)}`);
  const took = duration(Math.max(0, endOf(detail) - Date.parse(run.createdAt)));
  terminal.say(`\n${outcomeText(run, terminal.err)} Run ${run.id} took ${took}.`);
  terminal.emit({ type: 'result', ...resultOf(detail), exitCode: runOutcome(run) });
}

function endOf({ run }: RunDetail): number {
  return Date.parse(run.state.since);
}

function outcomeText(run: RunRecord, colours: Colours): string {
  switch (run.state.at) {
    case 'succeeded':
      return colours.green('Succeeded.');
    case 'partial':
      return colours.yellow('Partly succeeded.');
    case 'failed':
      return colours.red('Failed.');
    case 'cancelled':
      return colours.yellow('Cancelled.');
    case 'queued':
    case 'running':
      return colours.cyan('Unfinished.');
    default:
      return run.state satisfies never;
  }
}

/** For programs: everything that `runs show` knows, as JSON. */
export function resultOf({ run, stages, waits, abandoned }: RunDetail): Record<string, unknown> {
  return {
    run: run.id,
    pipeline: run.request.pipeline,
    plan: run.plan.fingerprint,
    request: run.request,
    createdAt: run.createdAt,
    state: run.state,
    abandoned,
    waits,
    stages: stages.map((stage) => ({ lane: run.plan.stages.find(({ id }) => id === stage.id)?.lane, ...stage })),
  };
}

export function stageTable(run: RunRecord, stages: readonly StageDetail[], colours: Colours): string[] {
  const rows = stages.flatMap((stage) => {
    const { rows, bytes: size } = amounts(stage.state);
    const ms = workedMs(stage);
    const note = stageNote(stage);
    return [
      [
        stage.id,
        stateText(stage.state, colours),
        run.plan.stages.find(({ id }) => id === stage.id)?.lane ?? '',
        rows === null ? '' : count(rows),
        rows === null || ms === null ? '' : rate(rows, ms),
        size ? bytes(size) : '',
        ms === null ? '' : duration(ms),
      ],
      ...(note ? [[`  ${colours.dim(onOneLine(note))}`]] : []),
    ];
  });
  // Notes go over the whole line: they must not widen the first column.
  const cells = rows.filter(({ length }) => length > 1);
  const [head = '', ...lines] = alignedTable(
    [
      { title: 'stage' },
      { title: 'state' },
      { title: 'lane' },
      { title: 'rows', align: 'right' },
      { title: 'rows/s', align: 'right' },
      { title: 'bytes', align: 'right' },
      { title: 'time', align: 'right' },
    ],
    cells,
    colours.dim,
  );
  let next = 0;
  return [head, ...rows.map((row) => (row.length > 1 ? (lines[next++] ?? '') : (row[0] ?? '')))];
}

function stateText({ at }: StageState, colours: Colours): string {
  switch (at) {
    case 'succeeded':
      return colours.green(at);
    case 'failed':
      return colours.red(at);
    case 'retrying':
    case 'cancelled':
      return colours.yellow(at);
    case 'running':
    case 'elsewhere':
      return colours.cyan(at);
    case 'waiting':
    case 'ready':
    case 'skipped':
      return colours.dim(at);
    default:
      return at satisfies never;
  }
}

function amounts(state: StageState): { rows: number | null; bytes: number | null } {
  if (state.at !== 'succeeded') return { rows: null, bytes: null };
  const { output } = state;
  if (output.kind === 'execute') {
    const known = output.rowsAffected.filter((rows) => rows !== null);
    return { rows: known.length > 0 ? known.reduce((sum, rows) => sum + rows, 0) : null, bytes: null };
  }
  if (output.kind === 'remote') return { rows: null, bytes: null };
  if (output.kind === 'changes') return { rows: output.stream.changes, bytes: null };
  return { rows: output.receipt.rows, bytes: output.receipt.bytes };
}

/** From the start of the attempt that succeeded (or the last one) to its end. */
function workedMs({ attempts }: StageDetail): number | null {
  const last = attempts.at(-1);
  return last?.ended ? Math.max(0, Date.parse(last.ended) - Date.parse(last.started)) : null;
}

/** Where the files are, from the project's folder. */
function filesOf(output: StageOutput): string | null {
  const location = output.kind === 'load' ? output.receipt.files?.location : undefined;
  if (location === undefined) return null;
  return location.startsWith('file:///') ? relative(process.cwd(), fileURLToPath(location)) || '.' : location;
}

function stageNote({ state, waits }: StageDetail): string | null {
  if (waits !== null) return waits;
  if (state.at === 'succeeded') return [filesOf(state.output), outputNote(state.output)].filter((text) => text !== null).join('; ');
  return state.at === 'skipped' ? skipText(state.because) : null;
}

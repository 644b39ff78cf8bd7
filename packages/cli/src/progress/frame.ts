import type { StreamProgress } from '@millrace/core/runtime';
import { streamLines } from '../stream/stream-lines.ts';
import type { Colours } from '../terminal.ts';
import { bytes, count, duration, rate } from '../text/amount.ts';
import { alignedTable, type TableColumn } from '../text/table.ts';
import { displayWidth, fitTo, onOneLine, withoutColour } from '../text/width.ts';
import { elapsed, isOver, type RunView, remaining, type StageView } from './run-view.ts';
import type { Speed } from './speed.ts';

const titles: readonly TableColumn[] = [
  { title: 'stage' },
  { title: 'state' },
  { title: 'lane' },
  { title: 'rows', align: 'right' },
  { title: 'rows/s', align: 'right' },
  { title: 'bytes', align: 'right' },
  { title: 'splits', align: 'right' },
  { title: 'time', align: 'right' },
  { title: 'left', align: 'right' },
];

/** Columns that go first where the screen is narrow. */
const leftOut = ['left', 'splits', 'bytes', 'lane', 'time', 'rows/s'];

/** The lines of the display at one instant. None is wider than `width`, so that none wraps. */
export function frame(
  view: RunView,
  speed: Speed,
  at: { readonly now: number; readonly width: number; readonly height: number; readonly tick: number },
  colours: Colours,
): string[] {
  const streams = view.stages.flatMap(({ at: state, stream }) => (stream && state === 'running' ? [stream] : []));
  // A stream has more to show than the line of its stage: it gets what the others leave.
  const most = Math.max(3, at.height - 4);
  const shown = shownStages(view.stages, streams.length > 0 ? Math.max(3, Math.floor(most / 3)) : most);
  const cells = shown.map((stage) => cellsOf(stage, speed, at, colours));
  let columns = titles.map((column, index) => ({ ...column, index }));
  let lines = tableOf(columns, cells, colours);
  for (const title of leftOut) {
    if (Math.max(...lines.map(displayWidth)) <= at.width) break;
    columns = columns.filter((column) => column.title !== title);
    lines = tableOf(columns, cells, colours);
  }
  const notes = shown.map(({ note }) => (note ? [colours.dim(fitTo(`  ${onOneLine(note)}`, at.width))] : []));
  // Where notes would push the table off the screen, it stands without them.
  const roomy = lines.length + notes.flat().length < at.height - 1;
  const withNotes = lines.flatMap((line, index) => [cut(line, at.width), ...(roomy ? (notes[index - 1] ?? []) : [])]);
  const hidden = view.stages.length - shown.length;
  const rest =
    hidden > 0
      ? [
          colours.dim(
            fitTo(
              `and ${count(hidden)} more stages, ${count(view.stages.filter(isOver).length)} of ${count(view.stages.length)} over`,
              at.width,
            ),
          ),
        ]
      : [];
  const above = [...withNotes, ...rest];
  return [...above, ...streamBlocks(streams, at.height - 1 - above.length, at.width, colours)];
}

/** Lines of a block beside those of its tables: heads, a sink or two, pace, slot, a warning, and an empty one above. */
const besideTables = 9;

function streamBlocks(streams: readonly StreamProgress[], room: number, width: number, colours: Colours): string[] {
  const each = Math.floor(room / Math.max(1, streams.length));
  if (each < 4) return [];
  return streams.flatMap((stream) => {
    const lines = streamLines(stream, colours, { tables: Math.max(1, each - besideTables) });
    return ['', ...lines.map((line) => cut(line, width))].slice(0, each);
  });
}

function tableOf(columns: readonly (TableColumn & { index: number })[], cells: readonly (readonly string[])[], colours: Colours): string[] {
  return alignedTable(
    columns,
    cells.map((row) => columns.map(({ index }) => row[index] ?? '')),
    colours.dim,
  );
}

function cellsOf(stage: StageView, speed: Speed, { now, tick }: { now: number; tick: number }, colours: Colours): string[] {
  const took = elapsed(stage, now);
  const recent = speed.of(stage.id);
  const pace = isOver(stage) || recent.ms < 500 ? rate(stage.rows, took) : rate(recent.rows, recent.ms);
  const left = remaining(stage, now);
  return [
    fitTo(stage.id, 32),
    stateText(stage, tick, colours),
    stage.lane,
    stage.rows > 0 || isOver(stage) ? count(stage.rows) : '',
    pace,
    stage.bytes > 0 ? bytes(stage.bytes) : '',
    stage.splits ? `${count(stage.splits.done)}/${count(stage.splits.total)}` : '',
    stage.startedAt === null ? '' : duration(took),
    left === null ? '' : duration(left),
  ];
}

const spinner = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** Phases in which the numbers stand still: then it is good to know why. */
const saidPhases: ReadonlySet<string> = new Set(['planning', 'checking', 'committing', 'copying', 'streaming', 'elsewhere']);

function stateText({ at, attempt, phase }: StageView, tick: number, colours: Colours): string {
  const again = attempt > 1 ? ` (${attempt})` : '';
  switch (at) {
    case 'waiting':
      return colours.dim('· waiting');
    case 'running':
      return colours.cyan(`${spinner[tick % spinner.length]} ${phase && saidPhases.has(phase) ? phase : 'running'}${again}`);
    case 'retrying':
      return colours.yellow(`↻ retrying${again}`);
    case 'succeeded':
      return colours.green(`✓ done${again}`);
    case 'failed':
      return colours.red(`✗ failed${again}`);
    case 'cancelled':
      return colours.yellow('■ cancelled');
    case 'skipped':
      return colours.dim('– skipped');
    default:
      return at satisfies never;
  }
}

/** What is on the move, then what failed, then the rest, as far as there is room; in the order of the plan. */
function shownStages(stages: readonly StageView[], room: number): readonly StageView[] {
  if (stages.length <= room) return stages;
  const interest = (stage: StageView) =>
    ({ running: 0, retrying: 0, failed: 1, waiting: 2, cancelled: 3, succeeded: 4, skipped: 5 })[stage.at];
  const chosen = new Set([...stages].sort((a, b) => interest(a) - interest(b)).slice(0, room));
  return stages.filter((stage) => chosen.has(stage));
}

/** Too wide even without the columns that may go: without colours it can be cut anywhere. */
function cut(line: string, width: number): string {
  return displayWidth(line) <= width ? line : fitTo(withoutColour(line), width);
}

import type { StreamHealth, StreamProgress, StreamTableState } from '@millrace/core/runtime';
import type { Colours } from '../terminal.ts';
import { bytes, count, counted, duration, span } from '../text/amount.ts';
import { alignedTable } from '../text/table.ts';
import { onOneLine } from '../text/width.ts';
import { share, timeLeft } from './budget.ts';
import { warningsOf } from './warnings.ts';

/** A stream for people: its tables, its sinks, how fast it is and how far behind, its slot. `tables` is how many lines they may take. */
export function streamLines(stream: StreamProgress, colours: Colours, { tables = 20 }: { readonly tables?: number } = {}): string[] {
  return [
    ...tableLines(stream.tables, tables, colours),
    ...sinkLines(stream, colours),
    paceText(stream),
    ...(stream.health ? [slotText(stream.health)] : []),
    ...warningsOf(stream, stream.health).map((warning) => `${colours.yellow('warning')} ${onOneLine(warning)}`),
  ];
}

/** The same in one line, for a log. */
export function streamSummary(stream: StreamProgress): string {
  return [tablesText(stream.tables), paceText(stream), ...(stream.health ? [`the source ${keptText(stream.health)}`] : [])].join(', ');
}

type Tables = StreamProgress['tables'];

function tableLines(tables: Tables, room: number, colours: Colours): string[] {
  const all = Object.entries(tables);
  const shown = all.length <= room ? all : all.toSorted(([, a], [, b]) => interest(a) - interest(b)).slice(0, Math.max(1, room - 1));
  const lines = alignedTable(
    [{ title: 'table' }, { title: 'state' }],
    shown.map(([name, state]) => [onOneLine(name), stateText(state, colours)]),
    colours.dim,
  );
  const hidden = all.length - shown.length;
  return hidden > 0 ? [...lines, colours.dim(`and ${counted(hidden, 'more table')}; of all, ${tablesText(tables)}`)] : lines;
}

/** What is on the move comes first. */
const interest = ({ at }: StreamTableState): number => ({ copying: 0, 'catching-up': 1, waiting: 2, ready: 3 })[at];

function stateText(state: StreamTableState, colours: Colours): string {
  switch (state.at) {
    case 'waiting':
      return colours.dim('waiting');
    case 'copying':
      return colours.cyan(`copying, ${count(state.splits.done)} of ${counted(state.splits.total, 'split')}`);
    case 'catching-up':
      return colours.yellow('catching up');
    case 'ready':
      return colours.green('ready');
    default:
      return state satisfies never;
  }
}

/** `2 ready, 1 copying (3 of 8 splits)` */
export function tablesText(tables: Tables): string {
  const states = Object.values(tables);
  const of = (at: StreamTableState['at']) => states.filter((state) => state.at === at);
  const copying = of('copying').flatMap((state) => (state.at === 'copying' ? [state.splits] : []));
  const sum = (part: 'done' | 'total') => copying.reduce((all, splits) => all + splits[part], 0);
  const parts = [
    ...(of('ready').length > 0 ? [`${count(of('ready').length)} ready`] : []),
    ...(of('catching-up').length > 0 ? [`${count(of('catching-up').length)} catching up`] : []),
    ...(copying.length > 0 ? [`${count(copying.length)} copying (${count(sum('done'))} of ${counted(sum('total'), 'split')})`] : []),
    ...(of('waiting').length > 0 ? [`${count(of('waiting').length)} waiting`] : []),
  ];
  return parts.length > 0 ? parts.join(', ') : 'no tables';
}

function sinkLines({ sinks }: StreamProgress, colours: Colours): string[] {
  return alignedTable(
    [{ title: 'sink' }, { title: 'target' }, { title: 'position' }],
    sinks.map(({ name, object, position }) => [name, onOneLine(object), position ?? colours.dim('none yet')]),
    colours.dim,
  );
}

/** `1,234 changes/s, 12 ms and 1.20 kB behind` */
export function paceText({ changes, changesPerSecond, lagMs, health }: StreamProgress): string {
  const behind = [...(lagMs === null ? [] : [span(lagMs)]), ...(health && health.lagBytes > 0 ? [bytes(health.lagBytes)] : [])];
  return [
    `${counted(changes, 'change')} since it began`,
    `${count(Math.round(changesPerSecond))} a second`,
    ...(behind.length > 0 ? [`${behind.join(' and ')} behind`] : []),
  ].join(', ');
}

/** `the source keeps 34.5 MB of 10.0 GB (0 %), log grows 1.20 MB/s, full in 2 h 20 min if nothing is released; slot millrace_shop (reserved)` */
export function slotText(health: StreamHealth): string {
  const spooled = health.spooledBytes > 0 ? `; ${bytes(health.spooledBytes)} spooled here` : '';
  return `the source ${keptText(health)}${spooled}; slot ${health.slot} (${health.state})`;
}

function keptText({ retainedBytes, budgetBytes, growthPerSecond }: StreamHealth): string {
  const kept = `keeps ${bytes(retainedBytes)}`;
  const grows = growthPerSecond > 0 ? `, log grows ${bytes(growthPerSecond)}/s` : '';
  if (budgetBytes === null) return `${kept}, without a limit${grows}`;
  const left = timeLeft(retainedBytes, budgetBytes, growthPerSecond);
  return `${kept} of ${bytes(budgetBytes)} (${share(retainedBytes, budgetBytes)} %)${grows}${left === null ? '' : `, full in ${duration(left)} if nothing is released`}`;
}

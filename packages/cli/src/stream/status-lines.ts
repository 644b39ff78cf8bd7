import { restoreError } from '@millrace/core/runtime';
import type { Colours } from '../terminal.ts';
import { duration, moment } from '../text/amount.ts';
import { failureBlock } from '../text/failure.ts';
import { onOneLine } from '../text/width.ts';
import { slotText, streamLines } from './stream-lines.ts';
import type { StreamStatus } from './stream-status.ts';

/** A stream for people, as `millrace status` shows it. */
export function statusLines(status: StreamStatus, now: Date, colours: Colours, options: { readonly tables?: number } = {}): string[] {
  const { pipeline, step, stream, state, health, sourceError, warnings } = status;
  const head = `${colours.bold(pipeline)}  ${step}${stream ? colours.dim(` from ${stream.source}`) : ''}  ${stateText(status, now, colours)}`;
  // How fast it was and how far behind says nothing once it has stopped.
  const pace = state.at === 'running' ? {} : { lagMs: null, changesPerSecond: 0 };
  const own = stream
    ? streamLines({ ...stream, ...pace, health }, colours, options)
    : [...(health ? [slotText(health)] : []), ...warnings.map((warning) => `${colours.yellow('warning')} ${onOneLine(warning)}`)];
  const nowhere = health === null && sourceError === null && (state.at === 'stopped' || state.at === 'never-run');
  return [
    head,
    ...errorLines(status, colours),
    ...own,
    ...(sourceError
      ? [`${colours.yellow('source')} ${onOneLine(sourceError.message)}`, `    ${colours.green('do')} ${sourceError.remedy}`]
      : []),
    ...(nowhere ? [colours.dim('There is no stream at the source.')] : []),
  ];
}

function stateText({ state, pipeline, heardAt }: StreamStatus, now: Date, colours: Colours): string {
  const ago = (at: string): string => `${duration(Math.max(0, now.getTime() - Date.parse(at)))}`;
  switch (state.at) {
    case 'running': {
      const late = heardAt !== null && now.getTime() - Date.parse(heardAt) > quiet ? `, not heard of for ${ago(heardAt)}` : '';
      return colours.green(`${state.phase ?? 'running'} for ${ago(state.since)}${late}`);
    }
    case 'retrying':
      return colours.yellow(
        `failed with ${state.error.code}; tried again in ${duration(Math.max(0, Date.parse(state.next) - now.getTime()))}`,
      );
    case 'starting':
      return colours.cyan(`starting for ${ago(state.since)}`);
    case 'failed':
      return colours.red(`not running since ${moment(state.since)} UTC (${ago(state.since)}): failed with ${state.error.code}`);
    case 'stopped':
      return colours.yellow(
        `not running since ${moment(state.since)} UTC (${ago(state.since)}): ${stopped[state.how]}. "millrace run ${pipeline}" goes on`,
      );
    case 'never-run':
      return colours.dim(`never run: "millrace run ${pipeline}" starts it`);
    default:
      return state satisfies never;
  }
}

/** Milliseconds; a stage tells of itself every two seconds. */
const quiet = 15_000;

const stopped = { 'caught-up': 'it had caught up', cancelled: 'it was cancelled', interrupted: 'its process has ended' } as const;

function errorLines({ state }: StreamStatus, colours: Colours): string[] {
  if (state.at !== 'failed' && state.at !== 'retrying') return [];
  return failureBlock(restoreError(state.error), colours)
    .split('\n')
    .map((line) => `  ${line}`);
}

import { pathToFileURL } from 'node:url';
import type { LogLine, StoredError } from '@millrace/core/runtime';
import type { Happening, ObserveListener } from '@millrace/worker/observe';
import type { Colours, Terminal } from '../terminal.ts';
import { bytes, counted, duration } from '../text/amount.ts';
import { onOneLine } from '../text/width.ts';

/** Runs whose pipelines are remembered, the newest. */
const most = 1_000;

/** What a process that goes on does, a line each, for people who look on. */
export function happeningLines(terminal: Terminal): ObserveListener {
  const pipelines = new Map<string, string>();
  const say = (pipeline: string, text: string): void =>
    terminal.say(`${terminal.err.dim(new Date().toISOString().slice(11, 19))}  ${pipeline}  ${text}`);
  return {
    happened(one) {
      pipelines.set(one.run, one.pipeline);
      if (pipelines.size > most) pipelines.delete(pipelines.keys().next().value as string);
      say(one.pipeline, happeningText(one, terminal.err));
    },
    logged(lines) {
      for (const line of lines) say(pipelines.get(line.run) ?? line.run, logText(line, terminal.err));
    },
  };
}

export function happeningText(one: Happening, colours: Colours): string {
  switch (one.type) {
    case 'run.started':
      return `run ${colours.bold(one.run)} begins`;
    case 'attempt.started':
      return `${one.stage}  ${one.recovers ? 'taken up again' : 'running'}${one.attempt > 1 ? `, attempt ${one.attempt}` : ''}`;
    case 'run.ended':
      return `run ${colours.bold(one.run)} ${resultText(one.result, colours)} in ${duration(one.durationMs)}${one.error ? `: ${one.error.code}` : ''}`;
    case 'attempt.ended': {
      const did = [...(one.rows > 0 ? [counted(one.rows, 'row')] : []), ...(one.bytes > 0 ? [bytes(one.bytes)] : [])];
      const amount = did.length > 0 ? `  ${did.join(', ')}` : '';
      return `${one.stage}  ${resultText(one.result, colours)}${amount} in ${duration(one.durationMs)}${errorText(one.error)}`;
    }
    default:
      return one satisfies never;
  }
}

function errorText(error: StoredError | null): string {
  if (error === null) return '';
  const { code, message, remedy, facts } = error;
  return `: ${code} ${onOneLine(message)}${placeText(facts['stack'])} ${onOneLine(remedy)}`;
}

/** Where in the user's code it was thrown: the first line of the stack, from the project's folder. */
function placeText(stack: unknown): string {
  const place = /^\s+at (.+)$/m.exec(typeof stack === 'string' ? stack : '')?.[1];
  return place === undefined ? '' : `, at ${place.replace(`${pathToFileURL(process.cwd()).href}/`, '')}.`;
}

type Result = Extract<Happening, { result: string }>['result'];

function resultText(result: Result, colours: Colours): string {
  switch (result) {
    case 'succeeded':
      return colours.green('succeeded');
    case 'failed':
      return colours.red('failed');
    case 'partial':
      return colours.yellow('partly succeeded');
    case 'retrying':
      return colours.yellow('will be tried again');
    case 'elsewhere':
      return colours.cyan('runs elsewhere');
    case 'released':
      return colours.yellow('given back');
    case 'lost':
      return colours.yellow('lost');
    case 'cancelled':
      return colours.yellow('cancelled');
    default:
      return result satisfies never;
  }
}

function logText({ stage, level, message, facts }: LogLine, colours: Colours): string {
  const more = Object.keys(facts).length > 0 ? ` ${colours.dim(JSON.stringify(facts))}` : '';
  return `${stage}  ${level === 'warn' ? colours.yellow('warning') : colours.dim('│')} ${onOneLine(message)}${more}`;
}

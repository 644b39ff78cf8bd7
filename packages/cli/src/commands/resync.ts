import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  isEnded,
  MillraceError,
  type RunSummary,
  restoreError,
  type StoredStreamRequest,
  type StreamProgress,
} from '@millrace/core/runtime';
import { type ExitCode, exitCodeOf, exitCodes } from '../exit-code.ts';
import { Screen } from '../progress/screen.ts';
import type { ProjectExecutor, Session } from '../session.ts';
import { type ContinuousPipeline, continuousPipeline } from '../stream/continuous.ts';
import { tablesText } from '../stream/stream-lines.ts';
import { failureBlock } from '../text/failure.ts';
import { watchToEnd } from './run.ts';

interface ResyncOptions {
  /** Names of the capture's tables; all where there is none. */
  readonly table: readonly string[];
  readonly yes?: true;
}

/**
 * Copies tables again. While the stream runs it does so itself, beside what readers see, and goes on. Where nobody follows it a run does,
 * which ends when it has caught up. Without `--table` that run begins a new stream.
 */
export async function resync(session: Session, wanted: string, { table: names, yes }: ResyncOptions): Promise<ExitCode> {
  const { terminal } = session;
  const continuous = await continuousPipeline(session, wanted);
  const { name } = continuous.pipeline;
  const chosen = tablesByCapture(continuous, names);
  const all = tablesByCapture(continuous, []);
  const executor = await session.executor();
  const running = (await executor.list({ pipeline: name, states: ['running'], limit: 10 })).find(({ abandoned }) => !abandoned);
  if (running) {
    await agreed(session, yes, `Copy ${listOf(chosen)} of "${name}" again while the stream goes on? Readers see the old rows until then.`);
    return copyAgain(session, executor, name, chosen, running);
  }
  const some = names.length > 0;
  await agreed(session, yes, `Copy ${listOf(some ? chosen : all)} of "${name}" again? Readers see the old rows until then.`);
  // The run finds what was asked when it begins.
  if (some) for (const [step, tables] of chosen) await executor.requestStream({ pipeline: name, step }, { kind: 'resync', tables });
  const { run } = await executor.start({ file: continuous.file, plan: continuous.plan, fullRefresh: !some, until: 'caught-up' });
  terminal.say(`Run ${run.id} of ${name} copies ${some ? listOf(chosen) : 'everything'} again.`);
  const code = await watchToEnd(session, executor, run, { continued: false, resume: `millrace run ${wanted}` });
  if (code === exitCodes.ok) terminal.say(`Follow the changes from here: ${terminal.err.bold(`millrace run ${wanted}`)}`);
  return code;
}

/** Which tables are asked of which capture; all where none is named. @throws CONFIG_INVALID for a name that no capture has */
function tablesByCapture({ pipeline, captures }: ContinuousPipeline, names: readonly string[]): Map<string, string[]> {
  const all = new Map(
    captures.map((step) => {
      const work = pipeline.steps[step]?.work;
      return [step, work?.kind === 'capture' ? Object.keys(work.source.tables) : []];
    }),
  );
  const known = [...all.values()].flat();
  for (const name of names) {
    if (known.includes(name)) continue;
    throw new MillraceError('CONFIG_INVALID', {
      message: `"${pipeline.name}" captures no table "${name}".`,
      remedy: `It has ${known.join(', ')}.`,
    });
  }
  if (names.length === 0) return all;
  const chosen = [...all].map(([step, tables]): [string, string[]] => [step, tables.filter((table) => names.includes(table))]);
  return new Map(chosen.filter(([, tables]) => tables.length > 0));
}

function listOf(byCapture: ReadonlyMap<string, readonly string[]>): string {
  const names = [...byCapture.values()].flat();
  return names.length > 6 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
}

/** Asks on a terminal. @throws RUN_CANCELLED for a no */
async function agreed({ terminal, signal }: Session, yes: true | undefined, question: string): Promise<void> {
  if (yes || terminal.json || !terminal.live || process.stdin.isTTY !== true) return;
  const ask = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await ask.question(`${question} [y/N] `, { signal });
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    ask.close();
  }
  throw new MillraceError('RUN_CANCELLED', { message: 'Nothing was copied.', remedy: 'Answer y, or give --yes.' });
}

/** How often to look whether it is done. */
const lookMs = 500;

async function copyAgain(
  session: Session,
  executor: ProjectExecutor,
  pipeline: string,
  byCapture: ReadonlyMap<string, readonly string[]>,
  running: RunSummary,
): Promise<ExitCode> {
  const { terminal } = session;
  const asked: StoredStreamRequest[] = [];
  for (const [step, tables] of byCapture) asked.push(await executor.requestStream({ pipeline, step }, { kind: 'resync', tables }));
  for (const request of asked) terminal.emit({ type: 'request', run: running.id, ...request });
  terminal.say(`Asked run ${running.id} to copy ${listOf(byCapture)} again.`);
  let code: ExitCode = exitCodes.ok;
  for (const request of asked) {
    const answer = await answerTo(request, session, executor, running);
    if (answer === undefined) {
      terminal.say('The stream goes on copying; "millrace status" shows how far it is.');
      return session.signal.reason === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
    }
    terminal.emit({ type: 'answer', ...answer });
    if (answer.error) {
      terminal.say(failureBlock(restoreError(answer.error), terminal.err));
      code = exitCodeOf(restoreError(answer.error));
    } else terminal.say(`${terminal.err.green('Copied.')} The new copy of ${answer.tables.join(', ')} has taken over.`);
  }
  return code;
}

/** Undefined where the signal aborts first. */
async function answerTo(
  { id, pipeline, step, tables }: StoredStreamRequest,
  session: Session,
  executor: ProjectExecutor,
  running: RunSummary,
): Promise<StoredStreamRequest | undefined> {
  using shown = progressOf(session);
  while (!session.signal.aborted) {
    const request = await executor.streamRequest(id);
    if (request?.answeredAt) return request;
    await stillRuns(executor, running, pipeline);
    const stream = (await executor.streams(pipeline)).find((one) => one.step === step)?.progress.stream;
    if (stream) shown.update(stream, tables);
    await sleep(lookMs, undefined, { signal: session.signal }).catch(() => {});
  }
  return undefined;
}

/** @throws SHUTDOWN where the run that was asked has ended: the next one will do it */
async function stillRuns(executor: ProjectExecutor, { id }: RunSummary, pipeline: string): Promise<void> {
  const { run, abandoned } = await executor.show(id);
  if (!isEnded(run.state) && !abandoned) return;
  const error = 'error' in run.state ? ` with ${run.state.error.code}` : '';
  throw new MillraceError('SHUTDOWN', {
    message: `Run ${id} has ended${error} before the tables were copied.`,
    remedy: `Start it again: "millrace run ${pipeline}" copies them then, since they are still asked for.`,
    facts: { run: id },
  });
}

function progressOf({ terminal }: Session): Disposable & { update(stream: StreamProgress, tables: readonly string[]): void } {
  const screen = terminal.live && !terminal.json ? new Screen(process.stderr) : undefined;
  let said = '';
  return {
    update(stream, tables) {
      const own = Object.fromEntries(Object.entries(stream.tables).filter(([table]) => tables.includes(table)));
      const text = tablesText(own);
      screen?.draw([terminal.err.dim(`${tables.join(', ')}: ${text}`)]);
      if (text === said) return;
      said = text;
      terminal.emit({ type: 'progress', tables: own });
      if (!screen) terminal.say(`${tables.join(', ')}: ${text}`);
    },
    [Symbol.dispose]() {
      screen?.draw([]);
      screen?.[Symbol.dispose]();
    },
  };
}

import { setTimeout as sleep } from 'node:timers/promises';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { Screen } from '../progress/screen.ts';
import type { Session } from '../session.ts';
import { type ContinuousPipeline, continuousPipeline, continuousPipelines } from '../stream/continuous.ts';
import { statusLines } from '../stream/status-lines.ts';
import { askSource, type SourceAnswer, type StreamStatus, streamStatuses } from '../stream/stream-status.ts';
import { displayWidth, fitTo, withoutColour } from '../text/width.ts';

/** How often `--watch` looks, and how often it asks a source that nobody follows. */
const watchMs = 2_000;
const askMs = 10_000;

export async function status(session: Session, wanted: string | undefined, options: { readonly watch?: true }): Promise<ExitCode> {
  const { terminal } = session;
  const pipelines = wanted === undefined ? await continuousPipelines(session) : [await continuousPipeline(session, wanted)];
  if (pipelines.length === 0) terminal.say('No pipeline of this project follows changes.');
  const look = await statusesOf(session, pipelines);
  if (options.watch) return watch(session, look);
  const streams = await look();
  show(session, streams);
  terminal.emit({ streams });
  return exitCodes.ok;
}

/** Looks at all streams of these pipelines, each time it is called. */
async function statusesOf(session: Session, pipelines: readonly ContinuousPipeline[]): Promise<() => Promise<StreamStatus[]>> {
  const executor = await session.executor();
  const asked = new Map<string, { readonly at: number; readonly answer: Promise<SourceAnswer> }>();
  return async () => {
    const all: StreamStatus[] = [];
    for (const one of pipelines) {
      const statuses = await streamStatuses(one, executor, async (step, source) => {
        const key = `${one.pipeline.name}/${step}`;
        const before = asked.get(key);
        if (before && performance.now() - before.at < askMs) return before.answer;
        const answer = askSource(source, { pipeline: one.pipeline.name, step }, await session.context());
        asked.set(key, { at: performance.now(), answer });
        return answer;
      });
      all.push(...statuses);
    }
    return session.redact(all);
  };
}

function show({ terminal }: Session, streams: readonly StreamStatus[]): void {
  const blocks = streams.map((stream) => statusLines(stream, new Date(), terminal.out).join('\n'));
  if (blocks.length > 0) terminal.print(blocks.join('\n\n'));
}

/** Until Ctrl-C: redrawn on a screen, else printed again; with `--json` one object a line. */
async function watch(session: Session, look: () => Promise<StreamStatus[]>): Promise<ExitCode> {
  const { terminal, signal } = session;
  const screen = terminal.live && !terminal.json ? new Screen(process.stderr) : undefined;
  using _screen = { [Symbol.dispose]: () => screen?.[Symbol.dispose]() };
  while (!signal.aborted) {
    const streams = await look();
    if (screen) screen.draw(fitted(streams, screen, session));
    else show(session, streams);
    terminal.emit({ at: new Date().toISOString(), streams });
    await sleep(screen || terminal.json ? watchMs : askMs, undefined, { signal }).catch(() => {});
  }
  return signal.reason === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
}

function fitted(streams: readonly StreamStatus[], screen: Screen, { terminal }: Session): string[] {
  const tables = Math.max(2, Math.floor((screen.height - 2) / Math.max(1, streams.length)) - 9);
  const lines = streams.flatMap((stream, index) => [
    ...(index > 0 ? [''] : []),
    ...statusLines(stream, new Date(), terminal.err, { tables }),
  ]);
  return lines
    .slice(0, screen.height - 1)
    .map((line) => (displayWidth(line) <= screen.width ? line : fitTo(withoutColour(line), screen.width)));
}

import { setTimeout as sleep } from 'node:timers/promises';
import { followsChanges } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { fleetBlocks } from '../fleet/fleet-lines.ts';
import { type FleetStatus, fleetStatuses } from '../fleet/fleet-status.ts';
import { Screen } from '../progress/screen.ts';
import type { Session } from '../session.ts';
import { type ContinuousPipeline, continuousPipelines, pipelineWithPlan } from '../stream/continuous.ts';
import { statusLines } from '../stream/status-lines.ts';
import { askSource, type SourceAnswer, type StreamStatus, streamStatuses } from '../stream/stream-status.ts';
import type { Colours } from '../terminal.ts';
import { displayWidth, fitTo, withoutColour } from '../text/width.ts';
import { askedExitCode } from '../until-asked.ts';

/** How often `--watch` looks, and how often it asks a source that nobody follows. */
const watchMs = 2_000;
const askMs = 10_000;

/** Who works, on what, what waits and what comes next; and how the streams are. */
interface Status extends FleetStatus {
  readonly streams: readonly StreamStatus[];
}

export async function status(session: Session, wanted: string | undefined, options: { readonly watch?: true }): Promise<ExitCode> {
  const { terminal } = session;
  const named = wanted === undefined ? undefined : await pipelineWithPlan(session, wanted);
  const pipelines = named ? [named].filter(({ plan }) => followsChanges(plan)) : await continuousPipelines(session);
  const fleet = await fleetStatuses(session, named?.plan.pipeline);
  const streams = await statusesOf(session, pipelines);
  const look = async (): Promise<Status> => ({ ...(await fleet()), streams: await streams() });
  if (options.watch) return watch(session, look);
  const found = await look();
  show(session, found);
  terminal.emit({ ...found });
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

function show({ terminal }: Session, status: Status): void {
  const blocks = blocksOf(status, terminal.out);
  if (blocks.length > 0) terminal.print(blocks.map((lines) => lines.join('\n')).join('\n\n'));
  else terminal.say('Nobody works, nothing waits, and no pipeline follows changes.');
}

function blocksOf(status: Status, colours: Colours, options: { readonly tables?: number } = {}): string[][] {
  return [...fleetBlocks(status, colours), ...status.streams.map((stream) => statusLines(stream, new Date(), colours, options))];
}

/** Until Ctrl-C: redrawn on a screen, else printed again; with `--json` one object a line. */
async function watch(session: Session, look: () => Promise<Status>): Promise<ExitCode> {
  const { terminal, signal } = session;
  const screen = terminal.live && !terminal.json ? new Screen(process.stderr) : undefined;
  using _screen = { [Symbol.dispose]: () => screen?.[Symbol.dispose]() };
  while (!signal.aborted) {
    const found = await look();
    if (screen) screen.draw(fitted(found, screen, session));
    else show(session, found);
    terminal.emit({ at: new Date().toISOString(), ...found });
    await sleep(screen || terminal.json ? watchMs : askMs, undefined, { signal }).catch(() => {});
  }
  return askedExitCode(signal);
}

function fitted(status: Status, screen: Screen, { terminal }: Session): string[] {
  const tables = Math.max(2, Math.floor((screen.height - 2) / Math.max(1, status.streams.length)) - 9);
  const lines = blocksOf(status, terminal.err, { tables }).flatMap((block, index) => [...(index > 0 ? [''] : []), ...block]);
  return lines
    .slice(0, screen.height - 1)
    .map((line) => (displayWidth(line) <= screen.width ? line : fitTo(withoutColour(line), screen.width)));
}

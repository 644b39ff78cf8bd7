import type { Executor, RunId, RunRecord, WatchEvent } from '@millrace/core/runtime';
import type { Terminal } from '../terminal.ts';
import { RunFold } from './fold.ts';
import { openProgress } from './progress.ts';

/** Shows a run until it ends or `signal` aborts: a table that is redrawn, lines, or one JSON object for each event. */
export async function follow(terminal: Terminal, executor: Executor, run: RunRecord, signal: AbortSignal): Promise<void> {
  const fold = new RunFold(run);
  using progress = openProgress(terminal);
  progress.update(fold.view());
  const isTimely = oncePerSecond();
  using quiet = tellingWhyItWaits(executor, run.id, (reason) => {
    terminal.emit({ type: 'waits', run: run.id, reason });
    progress.note(`${terminal.err.yellow('waiting')} ${reason}`);
  });
  try {
    for await (const watched of executor.watch(run.id, { after: run.seq, signal })) {
      quiet.heard();
      const { kind, ...rest } = watched;
      if (isTimely(watched)) terminal.emit({ type: kind, ...rest });
      const remark = fold.apply(watched);
      if (remark !== undefined) progress.note(remark);
      progress.update(fold.view());
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Milliseconds without a word after which somebody may wonder. */
const quietMs = 3_000;

/** Says why nothing happens, once for each reason: nothing that the run itself could tell. */
function tellingWhyItWaits(executor: Executor, run: RunId, tell: (reason: string) => void): Disposable & { heard(): void } {
  let heardAt = performance.now();
  let told: string | null = null;
  let asking = false;
  const look = async (): Promise<void> => {
    if (asking || performance.now() - heardAt < quietMs) return;
    asking = true;
    try {
      const { waits, stages } = await executor.show(run);
      const busy = stages.some(({ state }) => state.at === 'running' || state.at === 'elsewhere');
      const reason = waits ?? (busy ? null : (stages.find(({ state }) => state.at === 'ready')?.waits ?? null));
      if (reason !== null && reason !== told) tell(reason);
      told = reason;
    } catch {
      // The state database is away: who watches the run waits for it too.
    } finally {
      asking = false;
    }
  };
  const timer = setInterval(() => void look(), quietMs);
  timer.unref();
  return {
    heard() {
      heardAt = performance.now();
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** A stream goes on for months: of its progress a line a second is enough, and one for each change of what it does. */
function oncePerSecond(): (watched: WatchEvent) => boolean {
  const last = new Map<string, { readonly at: number; readonly doing: string }>();
  return (watched) => {
    if (watched.kind !== 'progress' || !watched.stream) return true;
    const doing = JSON.stringify([watched.epoch, watched.phase, Object.values(watched.stream.tables).map(({ at }) => at)]);
    const before = last.get(watched.stage);
    if (before && before.doing === doing && performance.now() - before.at < 1_000) return false;
    last.set(watched.stage, { at: performance.now(), doing });
    return true;
  };
}

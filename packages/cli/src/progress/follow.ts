import type { Executor, RunRecord } from '@millrace/core/runtime';
import type { Terminal } from '../terminal.ts';
import { RunFold } from './fold.ts';
import { openProgress } from './progress.ts';

/** Shows a run until it ends or `signal` aborts: a table that is redrawn, lines, or one JSON object for each event. */
export async function follow(terminal: Terminal, executor: Executor, run: RunRecord, signal: AbortSignal): Promise<void> {
  const fold = new RunFold(run);
  using progress = openProgress(terminal);
  progress.update(fold.view());
  try {
    for await (const watched of executor.watch(run.id, { after: run.seq, signal })) {
      const { kind, ...rest } = watched;
      terminal.emit({ type: kind, ...rest });
      const remark = fold.apply(watched);
      if (remark !== undefined) progress.note(remark);
      progress.update(fold.view());
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

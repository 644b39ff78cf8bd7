import { followsChanges, isMillraceError, type RunSummary } from '@millrace/core/runtime';
import type { Deployed, LocalExecutor } from '@millrace/worker';
import type { Session } from '../session.ts';

/** Runs that were left where their version is the one of now: nobody else would go on with them, and later ones wait for them. */
export async function goOnWithRuns(
  { terminal }: Session,
  executor: LocalExecutor,
  pipelines: ReadonlyMap<string, Deployed>,
): Promise<void> {
  for (const { id, pipeline, fingerprint } of (await unfinishedRuns(executor)).reverse()) {
    const deployed = pipelines.get(pipeline);
    if (!deployed || followsChanges(deployed.plan)) continue;
    if (deployed.plan.fingerprint === fingerprint) {
      const taken = await executor.resume(id).catch((error: unknown) => {
        if (isMillraceError(error) && error.code === 'RUN_HELD') return null;
        throw error;
      });
      if (taken) terminal.say(`Going on with run ${id} of ${pipeline}, which was left unfinished.`);
      terminal.emit({ type: 'continued', run: id, pipeline });
    } else {
      terminal.say(
        `${terminal.err.yellow('warning')} run ${id} of ${pipeline} is unfinished, and was made from another version; others wait for it. ${terminal.err.dim(`Give it up: millrace runs cancel ${id}`)}`,
      );
      terminal.emit({ type: 'other-version', run: id, pipeline });
    }
  }
}

/** That nobody works on. */
export async function unfinishedRuns(executor: LocalExecutor): Promise<RunSummary[]> {
  return (await executor.list({ states: ['queued', 'running'], limit: 1000 })).filter(({ abandoned }) => abandoned);
}

import { MillraceError, type RunId } from '@millrace/core/runtime';
import type { ProjectExecutor } from '../session.ts';

/** The run that was named, whole or by an unmistakable beginning or end; the newest one where none was. @throws RUN_NOT_FOUND */
export async function chosenRun(executor: ProjectExecutor, wanted: string | undefined): Promise<RunId> {
  const recent = await executor.list({ limit: wanted === undefined ? 1 : 1000 });
  if (wanted === undefined) {
    if (recent[0]) return recent[0].id;
    throw new MillraceError('RUN_NOT_FOUND', { message: 'No run is stored yet.', remedy: 'Start one: millrace run <pipeline>.' });
  }
  const matching = recent.filter(({ id }) => id === wanted || id.startsWith(wanted) || id.endsWith(wanted));
  const exact = matching.find(({ id }) => id === wanted);
  if (exact || matching.length === 1) return (exact ?? matching[0])?.id as RunId;
  if (matching.length === 0) return wanted;
  throw new MillraceError('RUN_NOT_FOUND', {
    message: `"${wanted}" could be ${matching.length} runs: ${matching
      .slice(0, 5)
      .map(({ id }) => id)
      .join(', ')}.`,
    remedy: 'Write more of the id.',
  });
}

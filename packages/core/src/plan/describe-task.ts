import type { DatabaseTask } from '../connector/index.ts';

/** A task in a plan: what a person reads of it, and all that makes it another one. Texts stand for themselves by their hashes. */
export function describeTask(task: DatabaseTask): { does: string; description: Readonly<Record<string, unknown>> } {
  switch (task.kind) {
    case 'refresh':
      return { does: `refresh ${few(task.views, 'views')}${task.concurrently ? ' concurrently' : ''}`, description: { ...task } };
    case 'partitions':
      return { does: `keep partitions of ${task.table} by ${task.by}, ${task.ahead} ahead`, description: { ...task } };
    case 'objects': {
      const { files, folder: _, ...rest } = task;
      const names = files.map(({ name }) => name);
      return {
        does: `deploy ${few(names, 'files')} of SQL`,
        description: { ...rest, files: files.map(({ name, hash }) => ({ name, hash })) },
      };
    }
    default:
      return task satisfies never;
  }
}

const few = (names: readonly string[], what: string): string => (names.length > 4 ? `${names.length} ${what}` : names.join(', '));

import type { Finding, ObjectsTask } from '@millrace/core/runtime';
import type { Doing } from '../task/doing.ts';
import type { FilePlan } from './decide.ts';
import { lookAtObjects } from './deploy.ts';
import { keyOf } from './object.ts';

/** What a deployment would do, and what has come apart since the last one. */
export async function previewDeploy(task: ObjectsTask, doing: Doing): Promise<Finding[]> {
  const { session } = doing;
  await session.execute('BEGIN READ ONLY');
  try {
    const { files, gone, renamed, drift } = (await lookAtObjects(task, doing)).deployment;
    const remedy =
      task.changed === 'restore'
        ? 'The next run puts the files in their place.'
        : "Bring the change into the file, or let changed: 'restore' undo it.";
    return [
      ...files
        .filter(({ is }) => is !== 'same')
        .map(({ file, is }): Finding => ({ subject: file.name, level: 'ok', message: wouldBe[is] })),
      ...renamed.map(({ from, to }): Finding => ({ subject: to, level: 'ok', message: `is what was ${from}` })),
      ...drift.map(
        ({ file, object }): Finding => ({
          subject: file,
          level: 'warning',
          message: `${keyOf(object)} was changed by somebody else`,
          remedy,
        }),
      ),
      ...gone.map(({ file, objects }): Finding => {
        const names = objects.map(keyOf).join(', ') || 'nothing';
        return task.removed === 'drop'
          ? { subject: file, level: 'ok', message: `is gone: ${names} would be dropped` }
          : {
              subject: file,
              level: 'warning',
              message: `is gone, and ${names} stays`,
              remedy: "Drop it by hand, or let removed: 'drop' do it.",
            };
      }),
      ...(files.every(({ is }) => is === 'same') && gone.length === 0 && drift.length === 0
        ? [
            {
              subject: task.files.length === 1 ? '1 file' : `${task.files.length} files`,
              level: 'ok' as const,
              message: 'deployed as they are',
            },
          ]
        : []),
    ];
  } finally {
    await session.execute('ROLLBACK').catch(() => {});
  }
}

const wouldBe: Readonly<Record<FilePlan['is'], string>> = {
  new: 'would be deployed',
  changed: 'has changed and would be deployed anew',
  missing: 'would be run again, since something that it made is gone',
  drifted: 'would be run again, since somebody else has changed what it made',
  same: 'is deployed as it is',
};

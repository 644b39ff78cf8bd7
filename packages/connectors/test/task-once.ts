/** One task of a database in a process of its own, for tests that kill it: its argument is JSON. */
import type { DatabaseTask } from '@millrace/core/runtime';
import { postgres } from '../src/postgres/index.ts';
import { testContext } from './load.ts';

const { url, task, id, epoch = 1 } = JSON.parse(process.argv[2] ?? '{}') as { url: string; task: DatabaseTask; id: string; epoch?: number };

postgres({ url })
  .tasks()
  .perform(task, { id, fence: { key: id, epoch }, owner: { pipeline: 'nightly', step: 'objects' } }, testContext())
  .then(
    (result) => process.stdout.write(`${JSON.stringify(result)}\n`),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exitCode = 1;
    },
  );

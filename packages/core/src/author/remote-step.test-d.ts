import { test } from 'vitest';
import type { RemoteTask } from '../connector/index.ts';
import { remote } from './remote-step.ts';
import { run } from './run-value.ts';
import { load } from './steps.ts';

declare const task: RemoteTask;

test('parameters are JSON, with values of the run in them', () => {
  remote(task, { JobName: 'nightly', Arguments: { '--date': run.date, '--countries': ['FR', run.param('country')] }, MaxRetries: 0 });
  remote(task, {}, { after: [remote(task, {})], timeout: '2h', pool: 'glue' });
  // @ts-expect-error a bigint is none
  remote(task, { Rows: 1n });
  // @ts-expect-error nor is a function
  remote(task, { When: () => 'now' });
  // @ts-expect-error nor is a date
  remote(task, { When: new Date() });
});

test('nothing comes out of it that could be loaded', () => {
  // @ts-expect-error there are no rows
  load(remote(task, {}), {} as never);
});

import { CreateJobCommand, GlueClient } from '@aws-sdk/client-glue';
import type { RemoteState } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { remoteOf } from '../../test/remote.ts';
import { glue } from './index.ts';

const settings = { region: 'us-east-1', endpoint: inject('s3'), credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
const context = testContext();
const admin = new GlueClient(settings);
const name = 'millrace-nightly';

beforeAll(async () => {
  const Command = { Name: 'glueetl', ScriptLocation: 's3://scripts/nightly.py' };
  await admin.send(
    new CreateJobCommand({ Name: name, Role: 'arn:aws:iam::123456789012:role/glue', Command, ExecutionProperty: { MaxConcurrentRuns: 5 } }),
  );
});
afterAll(() => admin.destroy());

test('a job runs to its end, and its run is found by its request', async () => {
  const { task, request } = remoteOf(glue({ ...settings, settlesMs: 10 }).job(name, { arguments: { '--date': '2026-03-29' } }));
  expect(await task.adopt(request('moto-1'), context)).toBeNull();
  const handle = await task.start(request('moto-1'), context);
  expect(await task.adopt(request('moto-1'), context)).toMatchObject({ id: handle.id });
  expect(await task.adopt(request('moto-2'), context)).toBeNull();
  let state: RemoteState;
  do state = await task.poll(handle, context);
  while (state.at === 'running');
  expect(state).toMatchObject({ at: 'succeeded' });
});

test('a job that is not there is refused', async () => {
  const { task, request } = remoteOf(glue(settings).job('nobody'));
  await expect(task.start(request(), context)).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
});

import { CreateClusterCommand, ECSClient, RegisterTaskDefinitionCommand } from '@aws-sdk/client-ecs';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { remoteOf } from '../../test/remote.ts';
import { ecs } from './index.ts';

const settings = { region: 'us-east-1', endpoint: inject('s3'), credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
const context = testContext();
const admin = new ECSClient(settings);
const cluster = 'millrace-etl';

beforeAll(async () => {
  await admin.send(new CreateClusterCommand({ clusterName: cluster }));
  const containerDefinitions = [{ name: 'main', image: 'report:1', memory: 128 }];
  await admin.send(new RegisterTaskDefinitionCommand({ family: 'millrace-report', containerDefinitions }));
});
afterAll(() => admin.destroy());

const of = (definition: string, at = cluster) =>
  remoteOf(ecs({ ...settings, cluster: at }).task(definition, { container: 'main', command: ['build', '2026-03-29'] }));

test('a task is found by its request while it runs and after its end', async () => {
  const { task, request } = of('millrace-report');
  expect(await task.adopt(request('moto-1'), context)).toBeNull();
  const handle = await task.start(request('moto-1'), context);
  expect(handle.link).toContain(`/ecs/v2/clusters/${cluster}/tasks/`);
  expect(await task.adopt(request('moto-1'), context)).toMatchObject({ id: handle.id });
  expect(await task.adopt(request('moto-2'), context)).toBeNull();
  expect(await task.poll(handle, context)).toMatchObject({ at: 'running' });
  await task.cancel(handle, context);
  await task.cancel(handle, context);
  expect(await task.poll(handle, context)).toMatchObject({ at: 'failed', reason: expect.stringContaining('Cancelled by Millrace') });
  expect(await task.adopt(request('moto-1'), context)).toMatchObject({ id: handle.id });
});

test('a definition and a cluster that are not there are refused', async () => {
  const nobody = of('millrace-nobody');
  await expect(nobody.task.start(nobody.request(), context)).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
  const nowhere = of('millrace-report', 'nowhere');
  await expect(nowhere.task.start(nowhere.request(), context)).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
});

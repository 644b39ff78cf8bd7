import { expect, it, vi } from 'vitest';
import { httpServer } from '../../../test/http-server.ts';
import { taskMetadata } from './agent.ts';
import { TaskProtection } from './task-protection.ts';

/** The agent of a task: it keeps whether the task is protected. */
async function agent() {
  const server = await httpServer();
  server.answer = ({ body }, response) => {
    const { ProtectionEnabled } = JSON.parse(body) as { ProtectionEnabled: boolean };
    response.end(JSON.stringify({ protection: { ProtectionEnabled, TaskArn: 'arn:task' } }));
  };
  return server;
}

const asked = (received: { body: string }[]) => received.map(({ body }) => JSON.parse(body) as unknown);

it('arms protection once while it is wanted, arms it again at half its time, and drops it when idle', async () => {
  await using server = await agent();
  let minute = 0;
  const failed = vi.fn();
  await using protection = new TaskProtection({ agent: `${server.url}/api/x`, failed, worked: () => {}, now: () => minute * 60_000 });
  /** Ten heartbeats, with time for what they ask. */
  const beats = async (wanted: boolean) => {
    for (let beat = 0; beat < 10; beat++) {
      protection.want(wanted);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const armed = { ProtectionEnabled: true, ExpiresInMinutes: 10 };
  await beats(false);
  expect(asked(server.received)).toEqual([]);
  await beats(true);
  minute = 4;
  await beats(true);
  await vi.waitFor(() => expect(asked(server.received)).toEqual([armed]), { timeout: 30_000 });
  expect(server.received[0]).toMatchObject({ method: 'PUT', path: '/api/x/task-protection/v1/state' });
  minute = 6;
  await beats(true);
  await vi.waitFor(() => expect(asked(server.received)).toEqual([armed, armed]), { timeout: 30_000 });
  await vi.waitFor(
    async () => {
      await beats(false);
      expect(asked(server.received)).toEqual([armed, armed, { ProtectionEnabled: false }]);
    },
    { timeout: 30_000 },
  );
  expect(failed).not.toHaveBeenCalled();
});

it('drops what is armed when it ends', async () => {
  await using server = await agent();
  const protection = new TaskProtection({ agent: server.url, failed: () => {}, worked: () => {} });
  protection.want(true);
  await protection[Symbol.asyncDispose]();
  expect(asked(server.received)).toEqual([{ ProtectionEnabled: true, ExpiresInMinutes: 10 }, { ProtectionEnabled: false }]);
  protection.want(true);
  expect(server.received).toHaveLength(2);
});

it('tells of failures once, goes on asking, and tells when it works again', async () => {
  await using server = await agent();
  const works = server.answer;
  const failed = vi.fn();
  const worked = vi.fn();
  await using protection = new TaskProtection({ agent: server.url, failed, worked, pauseMs: 20 });
  const beatUntil = (there: () => void) =>
    vi.waitFor(
      () => {
        protection.want(true);
        there();
      },
      { timeout: 30_000, interval: 10 },
    );
  server.answer = (_, response) => void response.writeHead(400).end('{"error":{"Code":"AccessDenied"}}');
  await beatUntil(() => expect(server.received.length).toBeGreaterThan(2));
  // A refusal may also come as a success.
  server.answer = (_, response) => void response.end('{"failure":{"Reason":"TASK_NOT_VALID"}}');
  const before = server.received.length;
  await beatUntil(() => expect(server.received.length).toBeGreaterThan(before + 1));
  expect(failed).toHaveBeenCalledTimes(1);
  expect(worked).not.toHaveBeenCalled();
  server.answer = works;
  await beatUntil(() => expect(worked).toHaveBeenCalledTimes(1));
  expect(failed).toHaveBeenCalledTimes(1);
});

it('reads which task it is, and says nothing outside ECS or where nobody answers', async () => {
  await using server = await httpServer((_, response) =>
    response.end(
      '{"Cluster":"etl","TaskARN":"arn:aws:ecs:eu-west-1:1:task/etl/abc","Family":"millrace-worker","Revision":"7","Containers":[]}',
    ),
  );
  expect(await taskMetadata({ ECS_CONTAINER_METADATA_URI_V4: `${server.url}/v4/x` })).toEqual({
    task: 'arn:aws:ecs:eu-west-1:1:task/etl/abc',
    family: 'millrace-worker',
    revision: '7',
    cluster: 'etl',
  });
  expect(server.received[0]?.path).toBe('/v4/x/task');
  expect(await taskMetadata({})).toBeNull();
  expect(await taskMetadata({ ECS_CONTAINER_METADATA_URI_V4: 'http://127.0.0.1:9' })).toBeNull();
});

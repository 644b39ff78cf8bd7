import { createServer } from 'node:net';
import { isMillraceError } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { testContext } from '../../test/load.ts';
import { openRedis } from './client.ts';

/** Answers whatever it is told with a text. */
async function answering(text: string) {
  const server = createServer((socket) => {
    socket.on('error', () => {}).on('data', () => void socket.write(text));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { port, [Symbol.asyncDispose]: async () => void server.close() };
}

test.each([
  "-ERR unknown command 'AUTH', with args beginning with: 'anna' 'tiger-1' \r\n",
  '-ERR unknown command `AUTH`, with args beginning with: `tiger-1`, \r\n',
  '-ERR tiger-1 is not what I know\r\n',
  'tiger-1 HTTP/1.1 400 Bad Request\r\n\r\n',
])('what a server repeats of a log-in stands in no message: %j', async (text) => {
  await using server = await answering(text);
  const settings = { url: `redis://anna:tiger-1@127.0.0.1:${server.port}`, cluster: false, replicas: 0 };
  const error = await openRedis(settings, testContext())
    .then(
      async (client) => {
        try {
          return await client.ask('PING');
        } finally {
          await client[Symbol.asyncDispose]();
        }
      },
      (thrown: unknown) => thrown,
    )
    .catch((thrown: unknown) => thrown);
  if (!isMillraceError(error)) throw new Error(`it was no error of ours: ${String(error)}`);
  expect(JSON.stringify([error.message, error.facts, error.remedy, String(error.cause)])).not.toContain('tiger-1');
});

import { createServer } from 'node:net';
import { isMillraceError } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { testContext } from '../../test/load.ts';
import { type Node, openCache } from './client.ts';

/** Answers each piece of bytes that comes with a text. */
async function answering(answer: (asked: string) => string) {
  const server = createServer((socket) => {
    socket.on('error', () => {}).on('data', (bytes) => void socket.write(answer(bytes.toString())));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { port, [Symbol.asyncDispose]: async () => void server.close() };
}
const failure = async (port: number, work: (node: Node) => Promise<unknown>, login = '') => {
  const error = await openCache({ url: `memcached://${login}127.0.0.1:${port}`, discover: false }, testContext()).then(
    async (cache) => {
      await using _ = cache;
      return await work(cache.nodes[0] as Node).catch((thrown: unknown) => thrown);
    },
    (thrown: unknown) => thrown,
  );
  if (!isMillraceError(error)) throw new Error(`it was no error of ours: ${String(error)}`);
  return error;
};

test.each<[string, string, (node: Node) => Promise<unknown>]>([
  ['a value that was not stored', 'NOT_STORED\r\n', (node) => node.put(new Map([['a', '1']]), 0)],
  ['a web server', 'HTTP/1.1 400 Bad Request\r\n', (node) => node.remove(['a'])],
  ['an answer to another command', 'STORED\r\n', (node) => node.remove(['a'])],
  ['a flush that was not done', 'BUSY\r\n', (node) => node.empty()],
  ['a line without an end', 'x'.repeat(200_000), (node) => node.remove(['a'])],
  ['lines without an end', 'x\r\n'.repeat(2_000), (node) => node.read('a')],
  ['a value without an end', 'VALUE a 0 99999999999\r\n', (node) => node.read('a')],
])('%s is no success', async (_what, answer, work) => {
  await using server = await answering(() => answer);
  expect(await failure(server.port, work)).toMatchObject({
    code: 'CONNECTION_FAILED',
    message: expect.stringContaining('none of a Memcached'),
  });
});

test('what a node repeats of a log-in stands in no message', async () => {
  await using server = await answering((asked) => `CLIENT_ERROR authentication failure: ${asked.replaceAll('\r\n', ' ')}\r\n`);
  const error = await failure(server.port, (node) => node.version(), 'anna:tiger-1@');
  expect(error.code).toBe('AUTHENTICATION_FAILED');
  expect(JSON.stringify([error.message, error.facts, error.remedy, String(error.cause)])).not.toContain('tiger-1');
});

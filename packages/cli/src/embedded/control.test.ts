import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { dial, type Hello, heard, type Status, say } from './control.ts';

test.each(['before its first line is asked for', 'while it waits for one', 'after one'])('a line that is hung up %s ends', async (when) => {
  const server = createServer(async (socket) => {
    socket.on('error', () => {});
    for await (const hello of heard<Hello>(socket))
      if (when === 'after one') say(socket, { at: hello.as === 'probe' ? 'starting' : 'stopping' });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const line = await dial({ port: (server.address() as AddressInfo).port, token: 'of a test' }, 'probe');
  if (when === 'before its first line is asked for') line!.socket.destroy();
  if (when === 'after one') expect(await line!.statuses.next()).toEqual({ done: false, value: { at: 'starting' } satisfies Status });
  const end = line!.statuses.next();
  line!.socket.destroy();
  expect(await end).toEqual({ done: true, value: undefined });
  server.close();
});

test('nobody who listens is no line', async () => {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  expect(await dial({ port, token: 'of a test' }, 'client')).toBeUndefined();
});

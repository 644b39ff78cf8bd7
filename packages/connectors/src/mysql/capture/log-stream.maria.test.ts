import { isMillraceError } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { startTcpProxy } from '../../../../../test/tcp-proxy.ts';
import { BinlogStream } from '../binlog/stream.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());

test('a line that breaks after any byte while a log is opened is one error, and tried again', { timeout: 60_000 }, async () => {
  await using line = await startTcpProxy(server.url);
  const [{ Log_name } = {}] = await server.sql('show binary logs');
  const file = Log_name ?? '';
  let opened = 0;
  for (let bytes = 1; opened < 3; bytes += 5) {
    line.cutAfter(bytes);
    const open = BinlogStream.open({
      settings: { url: line.through(server.url) },
      context: testContext(),
      from: { place: { by: 'file', name: file, offset: 4 }, serverId: 77, uuid: 'b7d1a1f0-0000-4000-8000-000000000077' },
      handler: () => {},
    });
    const error = await open.then(
      (stream) => {
        opened++;
        stream.destroy();
        return null;
      },
      (reason: unknown) => reason,
    );
    if (error !== null && !(isMillraceError(error) && error.code === 'CONNECTION_FAILED')) expect.fail(`after ${bytes} bytes: ${error}`);
  }
});

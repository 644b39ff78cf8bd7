import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { testContext } from '../../test/load.ts';
import { glueService } from '../glue/client.ts';

test('a connection that the service closes after its answer is in the way of no later call', async () => {
  let connections = 0;
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
    // It says that the connection stays, and closes it.
    response.end('{"JobNames":[]}', () => response.socket?.end());
  }).on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const glue = glueService({
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${port}`,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const list = () => glue.call('listing jobs', testContext(), (sdk, client, options) => client.send(new sdk.ListJobsCommand({}), options));
  for (let call = 0; call < 20; call++) expect((await list()).JobNames).toEqual([]);
  await Promise.all(Array.from({ length: 5 }, list));
  expect(connections).toBe(25);
  server.close();
});

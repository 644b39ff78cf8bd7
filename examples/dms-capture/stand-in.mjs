// @ts-nocheck A program of the example, without types.
import { once } from 'node:events';
import { cpSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * Stands in for AWS DMS on a laptop: one task that has loaded two tables and follows them. Its files are those under written/, laid out
 * as DMS lays them out; nothing is added to them.
 */

const mappings = await import('@millrace/connectors/dms').then(({ tableMappings }) =>
  JSON.stringify(
    tableMappings({ customers: { name: 'public.customers' }, orders: { name: 'public.orders' } }, { sequence: true, keyBefore: true }),
  ),
);

const begun = Date.UTC(2026, 2, 28, 10, 0, 0) / 1000;
const statistics = (table, rows, inserts, deletes) => ({
  SchemaName: 'public',
  TableName: table,
  TableState: 'Table completed',
  FullLoadRows: rows,
  FullLoadErrorRows: 0,
  FullLoadStartTime: begun,
  Inserts: inserts,
  Deletes: deletes,
});

let status = 'ready';
const answers = {
  DescribeReplicationTasks: () => ({
    ReplicationTasks: [
      {
        ReplicationTaskArn: 'arn:aws:dms:eu-west-1:123456789012:task:SHOPTOLAKE',
        Status: status,
        MigrationType: 'full-load-and-cdc',
        TableMappings: mappings,
        ReplicationTaskStats: status === 'ready' ? {} : { FreshStartDate: begun },
      },
    ],
  }),
  DescribeTableStatistics: () => ({ TableStatistics: [statistics('customers', 3, 1, 1), statistics('orders', 3, 1, 1)] }),
  StartReplicationTask: () => {
    status = 'running';
    return {};
  },
};

/** Answers where it listens; `close` ends it. `files`: a directory, where the files of the task are put. */
export async function standIn(files) {
  rmSync(files, { recursive: true, force: true });
  cpSync(fileURLToPath(new URL('written', import.meta.url)), files, { recursive: true });
  for (const entry of readdirSync(files, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) utimesSync(join(entry.parentPath, entry.name), begun + 86_400, begun + 86_400);
  const server = createServer((request, response) => {
    const action = String(request.headers['x-amz-target']).split('.').at(-1);
    request.resume().on('end', () => {
      const answer = answers[action]?.();
      response.writeHead(answer ? 200 : 400, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(answer ?? { __type: 'UnknownOperationException', message: action }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    env: {
      AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE: `http://127.0.0.1:${server.address().port}`,
      AWS_ACCESS_KEY_ID: 'stand-in',
      AWS_SECRET_ACCESS_KEY: 'stand-in',
    },
    close: () => server.close(),
  };
}

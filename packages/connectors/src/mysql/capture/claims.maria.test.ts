import { int4, table } from '@millrace/core';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, stream } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';
import { lockName, streamKey } from './home.ts';

const items = table('items', { id: int4() }, { key: ['id'] });

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());

test('a reader whose lock is gone ends, and is tried again', async () => {
  const database = await server.database();
  await database.sql('create table items (id int primary key)');
  const { source, position } = await begin(mariadb({ url: database.url }).capture({ items }), testContext());
  await using _source = source;
  let rows = 0;
  const reading = (async () => {
    for await (const group of source.read(position, { signal: AbortSignal.timeout(20_000) }))
      for await (const part of group.parts) rows += part.kind === 'changes' ? part.kinds.length : 0;
  })();
  const ended = expect(reading).rejects.toMatchObject({ code: 'CONNECTION_FAILED', message: expect.stringContaining('holds the lock') });
  await database.sql('insert into items values (1)');
  await expect.poll(() => rows, { timeout: 15_000 }).toBe(1);
  await source.health();
  const lock = lockName(streamKey(stream), 'read');
  const [row] = await server.sql(`select is_used_lock('${lock}') as holder`);
  await server.sql(`kill ${row?.['holder']}`);
  await expect
    .poll(
      () =>
        source.health().then(
          () => 'well',
          ({ code }) => code,
        ),
      { timeout: 15_000 },
    )
    .toBe('CONNECTION_FAILED');
  await ended;
});

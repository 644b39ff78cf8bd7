import { cpSync, rmSync } from 'node:fs';
import { int4, table } from '@millrace/core';
import { testContext } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, readToEnd, stream } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';

const items = table('items', { id: int4() }, { key: ['id'] });

test('a source that was restored from a backup is known by it, also when it has more transactions than were lost', async () => {
  await using server = await mariaDbServer({ binlog: true, durable: true });
  await server.sql('create database shop', 'create table shop.items (id int primary key)');
  const captured = mariadb({ url: `${server.url}/shop` }).capture({ items });
  const write = (from: number, to: number) =>
    server.sql(...Array.from({ length: to - from + 1 }, (_, place) => `insert into shop.items values (${from + place})`));
  const read = async (after: Awaited<ReturnType<typeof begin>>['position']) => {
    await using source = await captured.open(testContext(), stream);
    return await readToEnd(source, after);
  };
  const { source, position } = await begin(captured, testContext());
  await source[Symbol.asyncDispose]();
  await write(1, 3);
  const before = (await read(position)).at(-1)?.position ?? position;
  // Read again from where it was: nothing is wrong.
  await read(before);

  await server.stop();
  const backup = `${server.data}.backup`;
  cpSync(server.data, backup, { recursive: true });
  await server.start();
  await write(4, 6);
  const lost = (await read(before)).at(-1)?.position ?? before;
  expect(lost > before).toBe(true);
  await server.stop();
  rmSync(server.data, { recursive: true });
  cpSync(backup, server.data, { recursive: true });
  await server.start();
  await write(104, 130);

  await expect(read(lost)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED', message: expect.stringContaining('restored from a backup') });
  expect((await read(before)).flatMap(({ changes }) => changes)).toHaveLength(27);
});

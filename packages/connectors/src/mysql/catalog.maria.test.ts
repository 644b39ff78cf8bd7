import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { mariaDbServer } from '../../../../test/mariadb-server.ts';
import { readRelation } from './catalog.ts';
import { openSession } from './session.ts';

// In MySQL what a table is stands in a table of its own, which nobody sees half of.
const hasFiles = !process.env['MILLRACE_TEST_MYSQLD'];

describe.runIf(hasFiles)('a table that the server cannot look into', () => {
  async function broken() {
    const server = await mariaDbServer();
    await server.sql('create database shop', 'create table shop.items (id int primary key, note varchar(10))');
    const file = join(server.data, 'shop', 'items.frm');
    const whole = readFileSync(file);
    writeFileSync(`${file}.half`, whole.subarray(0, 100));
    renameSync(`${file}.half`, file);
    await server.sql('flush tables');
    const session = await openSession({ url: server.url }, testContext());
    return {
      read: () => readRelation(session, 'shop.items'),
      mend() {
        writeFileSync(`${file}.whole`, whole);
        renameSync(`${file}.whole`, file);
      },
      async [Symbol.asyncDispose]() {
        await session[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
      },
    };
  }

  test('is looked at again, since it may be in the middle of an ALTER TABLE', async () => {
    await using table = await broken();
    const reading = table.read();
    await new Promise((resolve) => setTimeout(resolve, 500));
    table.mend();
    const { engine, columns } = await reading;
    expect({ engine, columns: columns.map(({ name }) => name) }).toEqual({ engine: 'InnoDB', columns: ['id', 'note'] });
  });

  test('is told of after some seconds, with an error that is tried again', async () => {
    await using table = await broken();
    await expect(table.read()).rejects.toMatchObject({
      code: 'LOAD_CONFLICT',
      message: expect.stringContaining('cannot look into "items"'),
    });
  });
});

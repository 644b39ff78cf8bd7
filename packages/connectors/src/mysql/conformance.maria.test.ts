import { int4, table, varchar } from '@millrace/core';
import { rowSinkConformance, rowSourceConformance, type SinkRow, sinkTable } from '@millrace/core/testing';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../test/mariadb-server.ts';
import { mariadb, mysql } from './index.ts';

const noted = table('noted', { id: int4(), note: varchar(4000).orNull() }, { key: ['id'] });

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** Long enough for several splits. */
const rowsSql = (from: number, to: number): string =>
  `insert into noted select seq, if(seq % 3 > 0, concat('note ', seq, repeat('x', 1500)), null) from seq_${from}_to_${to}`;

describe('tables of MariaDB are written as every target is', () => {
  rowSinkConformance(test, async () => {
    const database = await server.database();
    const connection = mariadb({ url: database.url });
    return {
      target: (mode) => connection.table(sinkTable, { mode, schema: 'create' }),
      async read() {
        const there = await database.sql(`show tables like 'conformance'`);
        if (there.length === 0) return [];
        const rows = await database.sql('select id, note from conformance');
        return rows.map(({ id, note }): SinkRow => ({ id: Number(id), note: note ?? null }));
      },
      [Symbol.asyncDispose]: async () => {},
    };
  });
});

describe('tables of MariaDB are read as every source is', () => {
  rowSourceConformance(test, async () => {
    const database = await server.database();
    await database.sql('create table noted (id int primary key, note varchar(4000))', rowsSql(1, 60), 'analyze table noted');
    const rowsOf = async (where: string) =>
      (await database.sql(`select id, note from noted where ${where}`)).map(({ id, note }) => ({ id: Number(id), note: note ?? null }));
    return {
      selection: mysql({ url: database.url }).selection(noted),
      rows: await rowsOf('true'),
      since: {
        column: 'id',
        async more() {
          await database.sql(rowsSql(61, 70));
          return rowsOf('id > 60');
        },
      },
      splitBytes: 16_384,
      [Symbol.asyncDispose]: async () => {},
    };
  });
});

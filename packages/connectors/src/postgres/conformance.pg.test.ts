import { int4, table, text } from '@millrace/core';
import { rowSinkConformance, rowSourceConformance, type SinkRow, sinkTable } from '@millrace/core/testing';
import { describe, test } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { postgres } from './index.ts';

const noted = table('noted', { id: int4(), note: text().orNull() }, { key: ['id'] });

/** Some to a block, so that there are several splits. */
const rowsSql = (from: number, to: number): string =>
  `insert into noted select n, case when n % 3 > 0 then 'note ' || n || repeat('x', 1500) end from generate_series(${from}, ${to}) n`;

describe('tables of Postgres are written as every target is', () => {
  rowSinkConformance(test, async () => {
    const database = await testDatabase();
    const connection = postgres({ url: database.url });
    return {
      target: (mode) => connection.table(sinkTable, { mode, schema: 'create' }),
      read: async () => {
        const [there] = await database.sql<{ there: boolean }>("select to_regclass('conformance') is not null as there");
        return there?.there ? database.sql<SinkRow>('select id, note from conformance') : [];
      },
      [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
    };
  });
});

describe('tables of Postgres are read as every source is', () => {
  rowSourceConformance(test, async () => {
    const database = await testDatabase();
    await database.sql(
      `create table noted (id int4 primary key, note text) with (autovacuum_enabled = off); ${rowsSql(1, 60)}; analyze noted`,
    );
    const rowsOf = (where: string) => database.sql<{ id: number; note: string | null }>(`select id, note from noted where ${where}`);
    return {
      selection: postgres({ url: database.url }).selection(noted),
      rows: await rowsOf('true'),
      since: {
        column: 'id',
        async more() {
          await database.sql(rowsSql(61, 70));
          return rowsOf('id > 60');
        },
      },
      splitBytes: 16_384,
      [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
    };
  });
});

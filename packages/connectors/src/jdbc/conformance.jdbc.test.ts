import { int4, table, text } from '@millrace/core';
import { rowSinkConformance, rowSourceConformance, sinkTable } from '@millrace/core/testing';
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { JdbcDatabase } from '../../../../test/jdbc.ts';
import { jdbcEngines, missingEngine } from '../../../../test/jdbc-engines.ts';
import { jdbc } from './index.ts';

const noted = table('noted', { id: int4(), note: text().orNull() }, { key: ['id'] });

if (missingEngine !== null) test.skip(missingEngine);

describe.each(jdbcEngines)('$name', ({ text: textType, open }) => {
  let database: JdbcDatabase;
  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database[Symbol.asyncDispose]());
  const connection = () =>
    jdbc({
      url: database.url,
      user: database.user,
      password: database.password,
      drivers: [database.jar],
      native: false,
      maxConnections: 3,
    });
  const drop = async (name: string) => void (await database.sql(`DROP TABLE ${name}`).catch(() => {}));
  const noneStaged = async () => {
    const left = await database.sql(
      "SELECT table_name FROM information_schema.tables WHERE LOWER(table_name) LIKE 'millrace_s!_%' ESCAPE '!'",
    );
    if (left.length > 0) throw new Error(`staging tables are left: ${left}`);
  };

  describe('tables are read as every source is', () => {
    rowSourceConformance(test, async () => {
      await drop('noted');
      await database.sql(`CREATE TABLE noted (id INTEGER NOT NULL PRIMARY KEY, note ${textType})`);
      const insert = (from: number, to: number) =>
        database.sql(
          `INSERT INTO noted VALUES ${Array.from({ length: to - from + 1 }, (_, at) => `(${from + at}, ${(from + at) % 3 > 0 ? `'note ${from + at}'` : 'NULL'})`).join(', ')}`,
        );
      const rowsOf = async (where: string) =>
        (await database.sql(`SELECT id, note FROM noted WHERE ${where}`)).map(([id, note]) => ({ id: Number(id), note: note ?? null }));
      await insert(1, 60);
      return {
        selection: connection().selection(noted),
        rows: await rowsOf('1 = 1'),
        since: {
          column: 'id',
          async more() {
            await insert(61, 70);
            return rowsOf('id > 60');
          },
        },
        splitBytes: 1_000,
        [Symbol.asyncDispose]: async () => drop('noted'),
      };
    });
  });

  describe('tables are written as every target is', () => {
    rowSinkConformance(test, async () => {
      for (const name of ['conformance', 'millrace_fence', 'millrace_applied', 'millrace_checkpoint', 'millrace_staged']) await drop(name);
      const there = async () =>
        (await database.sql("SELECT COUNT(*) FROM information_schema.tables WHERE LOWER(table_name) = 'conformance'"))[0]?.[0] !== '0';
      return {
        target: (mode) => connection().table(sinkTable, { mode: mode === 'history' ? 'append' : mode, schema: 'create' }),
        read: async () =>
          (await there())
            ? (await database.sql('SELECT id, note FROM conformance')).map(([id, note]) => ({ id: Number(id), note: note ?? null }))
            : [],
        [Symbol.asyncDispose]: noneStaged,
      };
    });
  });
});

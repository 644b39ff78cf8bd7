import { int4, table, timestamp, timestamptz, varchar } from '@millrace/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JdbcDatabase } from '../../../../test/jdbc.ts';
import { jdbcEngines, missingEngine } from '../../../../test/jdbc-engines.ts';
import { batches, loadRows, specOf, split, testContext } from '../../test/load.ts';
import { readAll } from '../../test/read.ts';
import { jdbc } from './index.ts';

if (missingEngine !== null) test.skip(missingEngine);

describe.each(jdbcEngines)('$name', ({ name: engine, open }) => {
  let database: JdbcDatabase;
  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database[Symbol.asyncDispose]());
  const connection = () =>
    jdbc({ url: database.url, user: database.user, password: database.password, drivers: [database.jar], native: false });

  test.each([
    [0, 'timestamp'],
    [3, 'timestamp'],
    [0, 'timestamptz'],
    [3, 'timestamptz'],
  ] as const)('a window over times of %i decimals (%s) has the newest row, and the next one none twice', async (decimals, kind) => {
    const name = `seen_${decimals}_${kind}`;
    const isMaria = /Maria/.test(engine);
    const type =
      kind === 'timestamp'
        ? `${isMaria ? 'DATETIME' : 'TIMESTAMP'}(${decimals})`
        : `TIMESTAMP(${decimals})${isMaria ? '' : ' WITH TIME ZONE'}`;
    const literal = (at: string) => {
      if (kind === 'timestamp' || isMaria) return `TIMESTAMP '${at}'`;
      return `${engine === 'HSQLDB' ? 'TIMESTAMP' : 'TIMESTAMP WITH TIME ZONE'} '${at}+02:00'`;
    };
    await database.sql(`CREATE TABLE ${name} (id INTEGER NOT NULL, seen_at ${type} NOT NULL)`);
    const insert = (id: number, at: string) => database.sql(`INSERT INTO ${name} VALUES (${id}, ${literal(at)})`);
    await insert(1, '2024-01-01 00:00:00');
    await insert(2, '2024-01-02 00:00:01');
    const seen = table(name, { id: int4(), seen_at: kind === 'timestamp' ? timestamp(decimals) : timestamptz(decimals) });
    const read = async (low: string | null) => {
      const { rows, plan } = await readAll(connection().selection(seen), { since: { column: 'seen_at', low, lagMs: 0 } });
      return { ids: rows.map((row) => row['id']).sort(), high: plan.window?.high as string };
    };
    const first = await read(null);
    expect(first.ids).toEqual([1, 2]);
    const none = await read(first.high);
    expect(none).toEqual({ ids: [], high: first.high });
    await insert(3, '2024-01-02 00:00:02');
    expect((await read(none.high)).ids).toEqual([3]);
  });

  test('keys that only a collation takes for one are refused, or kept apart', async () => {
    await database.sql('CREATE TABLE words (word VARCHAR(10) NOT NULL PRIMARY KEY, n INTEGER NOT NULL)');
    const words = table('words', { word: varchar(10), n: int4() }, { key: ['word'] });
    const target = connection().table(words, { mode: 'merge' });
    const merge = (id: string, rows: readonly string[]) =>
      loadRows(target, { id, step: 'words', key: id, splits: [rows.map((word, n) => ({ word, n }))] });
    const there = async () => (await database.sql('SELECT word FROM words')).map(([word]) => word).sort();
    await merge('one', ['a', 'b']);
    const attempts = [
      ['upper', ['A']],
      ['blank', ['a ']],
      ['both', ['c', 'C']],
      ['blanks', ['d', 'd ', 'd']],
    ] as const;
    let expected = ['a', 'b'];
    for (const [id, rows] of attempts) {
      const refused = await merge(id, rows).then(
        () => null,
        (error: unknown) => error,
      );
      if (refused) expect(refused).toMatchObject({ code: 'TYPE_MISMATCH', message: expect.stringMatching(/"word"/i) });
      else expected = [...new Set([...expected, ...rows])].sort();
      expect(await there()).toEqual(expected);
    }
    await merge('same', ['a', 'b', 'a']);
    expect(await there()).toEqual(expected);
  });

  test('the row that loads of one owner wait for is not forgotten, and a load does not commit without it', async () => {
    await database.sql('CREATE TABLE owned (id INTEGER NOT NULL PRIMARY KEY)');
    const owned = table('owned', { id: int4() }, { key: ['id'] });
    const target = connection().table(owned, { mode: 'merge' });
    await loadRows(target, { id: 'o1', step: 'owned', key: 'o1', splits: [[{ id: 1 }]] });
    await database.sql("UPDATE millrace_fence SET touched_at = '2001-01-01T00:00:00.000Z'");
    const before = (await database.sql('SELECT COUNT(*) FROM millrace_fence WHERE attempt > 0'))[0]?.[0];
    expect(Number(before)).toBeGreaterThan(1);
    await loadRows(target, { id: 'o2', step: 'owned', key: 'o2', splits: [[{ id: 2 }]] });
    // Its own fence and that of the owner: those of loads long over have gone.
    expect(await database.sql('SELECT COUNT(*) FROM millrace_fence')).toEqual([['2']]);
    const { spec, fence, checkpoint } = specOf(target, { id: 'o3', step: 'owned', key: 'o3', splits: [] });
    await using sink = await target.open(testContext());
    await using load = await sink.begin(spec, fence);
    const part = await load.stage(split(0), batches(spec.schema, [{ id: 3 }]));
    await database.sql('DELETE FROM millrace_fence WHERE attempt > 1');
    await expect(load.commit([part], checkpoint)).rejects.toMatchObject({ code: 'LOAD_CONFLICT' });
    expect(await database.sql('SELECT COUNT(*) FROM owned')).toEqual([['2']]);
  });
});

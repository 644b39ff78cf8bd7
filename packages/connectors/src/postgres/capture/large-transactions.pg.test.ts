import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int4, int8, table, text } from '@millrace/core';
import type { ChangeGroup } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { begin, readToEnd, type Seen, stream } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';

const events = table('events', { id: int8(), kind: int4(), body: text().orNull() }, { key: ['id'] });

describe.for([14, 18] as const)('version %i', (version) => {
  let server: LogicalServer;
  const spool = mkdtempSync(join(tmpdir(), 'millrace-spool-'));
  beforeAll(async () => {
    server = await logicalServer({ version, settings: { logical_decoding_work_mem: '64kB' } });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    rmSync(spool, { recursive: true, force: true });
  });

  async function feed(): Promise<TestDatabase> {
    const database = await server.database();
    await database.sql('create table events (id int8 primary key, kind int4 not null, body text)');
    return database;
  }
  const rows = (kind: number, from: number, count: number): string =>
    `insert into events select n, ${kind}, repeat('b', 200) from generate_series(${from}, ${from + count - 1}) n`;
  const ids = (changes: readonly Seen[]): number[] => changes.flatMap((change) => ('row' in change ? [Number(change.row['id'])] : []));
  const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, at) => from + at);

  test.for([true, false])(
    'open transactions side by side come one after the other as they commit, without what was rolled back (streaming %s)',
    async (streaming) => {
      await using database = await feed();
      const context = testContext(undefined, { spool });
      const captured = postgres({ url: database.url }).capture({ events }, { streaming });
      const { source, position } = await begin(captured, context);
      await using _source = source;
      const pg = await import('pg');
      const [a, b] = [new pg.default.Client(database.url), new pg.default.Client(database.url)];
      await a.connect();
      await b.connect();
      await a.query(`begin; ${rows(1, 1, 1000)}`);
      await b.query(`begin; ${rows(2, 10_001, 1000)}`);
      await a.query(`savepoint s; ${rows(1, 1001, 1000)}; savepoint s2; ${rows(1, 5001, 1000)}; rollback to s`);
      await b.query('rollback');
      await database.sql(rows(3, 20_001, 10));
      await a.query(`${rows(1, 2001, 1000)}; savepoint s3; ${rows(1, 3001, 1000)}; release s3; commit`);
      await b.query(`begin; ${rows(2, 11_001, 1000)}; commit`);
      await Promise.all([a.end(), b.end()]);
      const groups = await readToEnd(source, position);
      const seen = groups.flatMap(({ changes }) => changes);
      expect(ids(seen)).toEqual([...numbers(20_001, 10), ...numbers(1, 1000), ...numbers(2001, 2000), ...numbers(11_001, 1000)]);
      const transactions = groups.flatMap((group) => group.transactions);
      expect(transactions).toHaveLength(3);
      expect([...transactions].sort((x, y) => (x.commit < y.commit ? -1 : 1))).toEqual(transactions);
      expect((await source.health()).spooledBytes).toBe(0);
      const left = existsSync(spool) ? readdirSync(spool, { recursive: true }).filter((name) => String(name).includes('transaction-')) : [];
      expect(left).toEqual([]);
    },
  );

  test('a transaction that is too large for memory comes by itself, in parts, in order, and its end is known after them', async () => {
    await using database = await feed();
    const captured = postgres({ url: database.url }).capture({ events }, { memoryBytes: 2 ** 20 });
    const { source, position } = await begin(captured, testContext());
    await using _source = source;
    await database.sql(rows(1, 1, 5));
    await database.sql(`begin; ${rows(2, 101, 40_000)}; truncate events; ${rows(2, 200_101, 5)}; commit`);
    await database.sql(rows(3, 300_001, 5));
    const seen: { ids: number; size: ChangeGroup['size'] }[] = [];
    let last = 0;
    const end = (await source.stream())?.end;
    const nudge = setInterval(() => void source.nudge().catch(() => {}), 200);
    for await (const group of source.read(position, { signal: AbortSignal.timeout(20_000), ...(end && { until: end }) })) {
      if (group.size === null) expect(() => group.position()).toThrow(/before its changes were read/);
      let count = 0;
      for await (const part of group.parts) {
        if (part.kind === 'truncate') expect(part.ordinal).toBe(40_000);
        if (part.kind !== 'changes') continue;
        count += part.rows.rowCount;
        for (let at = 0; at < part.rows.rowCount; at++) {
          const id = Number(part.rows.vectors[0]?.get(at));
          if (id <= last) throw new Error(`${id} came after ${last}`);
          last = id;
        }
      }
      group.position();
      if (count > 0) seen.push({ ids: count, size: group.size });
    }
    clearInterval(nudge);
    expect(seen.map((group) => group.ids)).toEqual([5, 40_005, 5]);
    expect(seen[1]?.size).toBeNull();
    expect(last).toBe(300_005);
  });

  test('more open changes than the files may hold end the stream with an error, and nothing is lost', async () => {
    await using database = await feed();
    const context = testContext(undefined, { spool });
    const home = postgres({ url: database.url });
    const { source, position } = await begin(home.capture({ events }, { streaming: true, spoolBytes: 2 ** 20 }), context);
    await database.sql(rows(1, 1, 20_000));
    await expect(readToEnd(source, position)).rejects.toMatchObject({ code: 'SPOOL_FULL', remedy: expect.stringContaining('spoolBytes') });
    await source[Symbol.asyncDispose]();
    await using again = await home.capture({ events }, { streaming: true }).open(context, stream);
    expect(ids((await readToEnd(again, position)).flatMap(({ changes }) => changes))).toEqual(numbers(1, 20_000));
  });
});

import { int4, int8, table } from '@millrace/core';
import { type ChangeSource, changeKinds, type Position, type TableSnapshot } from '@millrace/core/runtime';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { begin, readToEnd, stream } from '../../../test/changes.ts';
import { type Row, testContext } from '../../../test/load.ts';
import { readPlan, wholeTable } from '../../../test/read.ts';
import { postgres } from '../index.ts';

const accounts = table('accounts', { id: int4(), balance: int8(), version: int4() }, { key: ['id'] });

describe.for([14, 18] as const)('version %i', (version) => {
  let server: LogicalServer;
  beforeAll(async () => {
    server = await logicalServer({ version });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  async function bank(): Promise<TestDatabase> {
    const database = await server.database();
    await database.sql(`create table accounts (id int4 primary key, balance int8 not null, version int4 not null default 0);
      insert into accounts select n, 1000, 0 from generate_series(1, 3000) n`);
    return database;
  }

  /** Moves money, makes accounts and closes them, on several connections, until it is stopped. */
  function traffic(url: string): { stop(): Promise<void> } {
    let isStopped = false;
    const workers = Array.from({ length: 3 }, async (_, worker) => {
      const client = new pg.Client(url);
      await client.connect();
      for (let turn = 0; !isStopped; turn++) {
        const [a, b] = [1 + Math.floor(Math.random() * 3000), 1 + Math.floor(Math.random() * 3000)].sort((x, y) => x - y);
        const fresh = 10_000 + worker * 100_000 + turn;
        await client.query(`begin; update accounts set balance = balance - 7, version = version + 1 where id = ${a};
          update accounts set balance = balance + 7, version = version + 1 where id = ${b};
          insert into accounts values (${fresh}, 0); ${turn % 3 === 0 ? `delete from accounts where id = ${fresh}` : 'select 1'}; ${turn % 7 === 6 ? 'rollback' : 'commit'}`);
      }
      await client.end();
    });
    return {
      async stop() {
        isStopped = true;
        await Promise.all(workers);
      },
    };
  }

  type Contents = Map<number, Row>;

  async function copied(snapshot: TableSnapshot): Promise<Contents> {
    await using source = await snapshot.table('accounts');
    const { rows } = await readPlan(source, await source.plan({ ...wholeTable, splitBytes: 32 * 1024 }));
    return new Map(rows.map((row) => [row['id'] as number, row]));
  }

  /** Strictly: an insert of what is there, or a change of what is not, is a gap or an overlap. */
  async function apply(contents: Contents, groups: AsyncIterable<import('@millrace/core/runtime').ChangeGroup>): Promise<Position> {
    let position: Position | undefined;
    for await (const group of groups) {
      for await (const part of group.parts) {
        if (part.kind !== 'changes') throw new Error(part.kind);
        const [ids, balances, versions] = part.rows.vectors;
        for (let at = 0; at < part.rows.rowCount; at++) {
          const id = ids?.get(at) as number;
          const row = { id, balance: balances?.get(at), version: versions?.get(at) };
          const before = contents.get(id);
          if (part.kinds[at] === changeKinds.insert ? before !== undefined : before === undefined)
            throw new Error(`account ${id} ${before ? 'came twice' : 'is missing'}`);
          if (part.kinds[at] === changeKinds.update && row.version !== (before?.['version'] as number) + 1)
            throw new Error(`account ${id} went from version ${before?.['version']} to ${row.version}`);
          if (part.kinds[at] === changeKinds.delete) contents.delete(id);
          else contents.set(id, row);
        }
      }
      position = group.position();
    }
    return position as Position;
  }
  const stored = async (database: TestDatabase): Promise<unknown[]> =>
    (await database.sql<{ id: number; balance: string; version: number }>('select * from accounts order by id')).map((row) => ({
      ...row,
      balance: BigInt(row.balance),
    }));
  const sorted = (contents: Contents): unknown[] => [...contents.values()].sort((a, b) => (a['id'] as number) - (b['id'] as number));
  const endOf = async (source: ChangeSource): Promise<Position> => (await source.stream())?.end as Position;

  test('under live traffic the snapshot and the stream after it fit without a gap or an overlap; so does a second look beside the stream', async () => {
    await using database = await bank();
    const captured = postgres({ url: database.url }).capture({ accounts });
    const temporarySlots = () => database.sql('select from pg_replication_slots where database = current_database() and temporary');
    const writers = traffic(database.url);
    await using source = await captured.open(testContext(), stream);
    const { snapshot } = await source.create();
    const contents = await copied(snapshot);
    expect(contents.size).toBeGreaterThanOrEqual(3000);
    const nudge = setInterval(() => void source.nudge().catch(() => {}), 200);
    const signal = AbortSignal.timeout(20_000);
    try {
      const first = await endOf(source);
      const reading = apply(contents, source.read(snapshot.position, { signal, until: first }));
      await using beside = await source.snapshot(['accounts']);
      const second = await copied(beside);
      expect(beside.position > snapshot.position).toBe(true);
      // While the second look is open: at its end the server may be slow to say goodbye, and the slot goes with the line.
      expect(await temporarySlots()).toHaveLength(1);
      const reached = await reading;
      await writers.stop();
      const end = await endOf(source);
      await apply(second, beside.read({ signal, until: end }));
      expect(sorted(second)).toEqual(await stored(database));
      await snapshot[Symbol.asyncDispose]();
      await using again = await captured.open(testContext(), stream);
      await apply(contents, again.read(reached, { signal, until: end }));
      expect(sorted(contents)).toEqual(await stored(database));
      await beside[Symbol.asyncDispose]();
      await expect.poll(temporarySlots).toEqual([]);
    } finally {
      clearInterval(nudge);
      await writers.stop();
    }
  });

  test('a table that is rewritten between the slot and its copy is not taken for an empty one', async () => {
    await using database = await bank();
    await using source = await postgres({ url: database.url }).capture({ accounts }).open(testContext(), stream);
    const { snapshot } = await source.create();
    await database.sql('alter table accounts alter version type int8');
    await using rows = await snapshot.table('accounts');
    await expect(rows.plan(wholeTable)).rejects.toMatchObject({ code: expect.stringMatching(/SNAPSHOT_LOST|SCHEMA_DRIFT/) });
    await database.sql(
      'alter table accounts alter version type int4; alter table accounts alter balance type numeric; alter table accounts alter balance type int8',
    );
    await using again = await snapshot.table('accounts');
    await expect(again.plan(wholeTable)).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
    await snapshot[Symbol.asyncDispose]();
  });

  test('a table can be copied as bytes from the snapshot too', async () => {
    await using database = await bank();
    const captured = postgres({ url: database.url }).capture({ accounts });
    expect(captured.offers).toEqual(['pgcopy-binary', 'csv', 'batches']);
    await using source = await captured.open(testContext(), stream);
    const { snapshot } = await source.create();
    await database.sql('delete from accounts where id > 10');
    await using rows = await snapshot.table('accounts');
    const plan = await rows.plan(wholeTable);
    const channel = await rows.open(plan.splits[0] as (typeof plan.splits)[0], 'pgcopy-binary');
    if (channel.format === 'batches') throw new Error('batches');
    channel.stream.resume();
    expect((await channel.done).rows).toBe(3000);
    await snapshot[Symbol.asyncDispose]();
  });

  test('a first copy that dies leaves a slot that the next attempt replaces', async () => {
    await using database = await bank();
    const captured = postgres({ url: database.url }).capture({ accounts });
    const { source } = await begin(captured, testContext());
    await source[Symbol.asyncDispose]();
    const again = await begin(captured, testContext());
    expect(await database.sql('select from pg_replication_slots where database = current_database()')).toHaveLength(1);
    await database.sql('delete from accounts where id = 1');
    expect((await readToEnd(again.source, again.position)).flatMap(({ changes }) => changes)).toHaveLength(1);
    await again.source[Symbol.asyncDispose]();
  });
});

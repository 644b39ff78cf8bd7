import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { openSession, type Session } from '../session.ts';
import { endOfLog, readLogServer } from './log-server.ts';
import { positionAt } from './stream-position.ts';
import { takeSnapshot } from './table-snapshot.ts';

let server: MariaDbServer;
let database: MariaDbDatabase;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());
beforeEach(async () => {
  database = await server.database();
  await database.sql('create table people (id int primary key, a int)', 'insert into people values (1, 2)');
});

/** `beside` runs whenever the columns of the table have just been looked at. */
async function taken(beside: (look: number) => Promise<unknown>) {
  const settings = { url: database.url };
  const context = testContext();
  const session = await openSession(settings, context);
  let looks = 0;
  const watched = {
    place: session.place,
    server: session.server,
    async query(text: string, object?: string) {
      const rows = await session.query(text, object);
      if (text.includes('FROM information_schema.columns')) await beside(++looks);
      return rows;
    },
  } as Session;
  const log = await readLogServer(session);
  try {
    const request = { settings, context, server: log, label: 'shop', session: watched, tables: { people: { name: 'people' } } };
    const { snapshot, place, relations } = await takeSnapshot(request);
    const reader = await snapshot.reader();
    const rows = await reader.session.query('SELECT * FROM people');
    reader.release(true);
    await snapshot[Symbol.asyncDispose]();
    const end = positionAt(await endOfLog(session, log));
    return { rows, isAtEnd: positionAt(place) === end, columns: relations.get('people')?.columns.map(({ name }) => name) };
  } finally {
    await session[Symbol.asyncDispose]();
  }
}

test('a table that is altered between the look at its columns and the snapshot joins with those of the snapshot', async () => {
  const found = await taken(async (look) => (look === 1 ? database.sql('alter table people rename column a to b') : null));
  expect(found).toEqual({ rows: [{ id: '1', b: '2' }], isAtEnd: true, columns: ['id', 'b'] });
});

test('one that is altered all the time is tried again later', async () => {
  const altered = taken((look) => database.sql(`alter table people add c${look} int`));
  await expect(altered).rejects.toMatchObject({
    code: 'SNAPSHOT_LOST',
    message: expect.stringContaining('columns of people change so often'),
  });
});

test('a snapshot waits for transactions that have written to its tables, and has all of them or nothing', async () => {
  const writer = await server.connect(database.name);
  await writer.query('begin');
  await writer.query('insert into people values (2, 3)');
  const ended = (async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await writer.query('commit');
    return performance.now();
  })();
  const { rows, isAtEnd } = await taken(async () => {});
  const isLater = server.flavour === 'mysql';
  // MariaDB tells where a snapshot is, and need not wait.
  expect({ rows: rows.length, isAtEnd: isLater ? isAtEnd : true }).toEqual({ rows: isLater ? 2 : 1, isAtEnd: true });
  await ended;
});

test.each([0, 1])(
  'the server itself keeps a lock back while a transaction is open that has written, with autocommit = %i',
  async (autocommit) => {
    const writer = await server.connect(database.name);
    await writer.query('begin');
    await writer.query('insert into people values (2, 3)');
    const locking = database.sql(
      `set session autocommit = ${autocommit}, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1`,
      'lock tables people read',
    );
    await expect(locking).rejects.toMatchObject({ errno: 1205 });
    await writer.query('rollback');
  },
);

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { int4, int8, secret, table, text, timestamp, varchar } from '@millrace/core';
import { batchOfRows, type ColumnBatch, type Context, isMillraceError } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { h2Server, type JdbcDatabase } from '../../../../test/jdbc.ts';
import { loadRows, testContext } from '../../test/load.ts';
import { readAll, wholeTable } from '../../test/read.ts';
import { connect, type SessionSettings } from './connect.ts';
import { type JdbcOptions, jdbc } from './index.ts';
import { javaCommand } from './java.ts';
import { javaProcess } from './process.ts';

let server: Awaited<ReturnType<typeof h2Server>>;
let database: JdbcDatabase;
beforeAll(async () => {
  server = await h2Server();
  database = await server.database('sessions');
  await database.sql(
    "CREATE TABLE many (id BIGINT PRIMARY KEY, note VARCHAR(2000)) AS SELECT X, REPEAT('x', 1000) FROM SYSTEM_RANGE(1, 40000)",
  );
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});
const settings = (more: Partial<JdbcOptions> = {}): JdbcOptions => ({
  url: database.url,
  user: database.user,
  password: database.password,
  drivers: [database.jar],
  ...more,
});
const many = table('many', { id: int8(), note: text().orNull() });
const sessions = async () =>
  Number((await database.sql('SELECT COUNT(*) FROM INFORMATION_SCHEMA.SESSIONS WHERE SESSION_ID <> SESSION_ID()'))[0]?.[0]);
const until = async (what: () => Promise<boolean>) => {
  for (let left = 200; !(await what()); left--) {
    if (left === 0) throw new Error('it did not come to pass');
    await sleep(25);
  }
};
/** For ever, until it is cancelled. */
const endless = 'SELECT COUNT(*) FROM SYSTEM_RANGE(1, 9000000000) a, SYSTEM_RANGE(1, 9000000000) b';

test('nothing secret stands on the command line of Java, nor in its environment', async () => {
  await using _ = (await connect(settings() as SessionSettings, testContext())).session;
  const { pid } = javaProcess(javaCommand());
  const shown = readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1');
  expect(shown).toContain('millrace.jdbc.Main');
  expect(shown).not.toContain(database.password);
  expect(shown).not.toContain('jdbc:h2');
});

test('a reader that takes its time holds back the driver', async () => {
  await using source = await jdbc(settings()).selection(many).open(testContext());
  const plan = await source.plan({ ...wholeTable });
  const channel = await source.open(plan.splits[0]!, 'batches');
  if (channel.format !== 'batches') throw new Error('not batches');
  let rows = 0;
  let largest = 0;
  const before = process.memoryUsage().arrayBuffers;
  for await (const batch of channel.batches) {
    rows += batch.rowCount;
    if (rows > 10_000) continue; // what is read at full speed is garbage before it is collected
    await sleep(100); // all of it is 40 MB, and would be here by then
    largest = Math.max(largest, process.memoryUsage().arrayBuffers - before);
  }
  expect(rows).toBe(40_000);
  expect(largest).toBeGreaterThan(0);
  expect(largest).toBeLessThan(32 * 1024 * 1024);
});

test('a read that is left early cancels its statement, and the connection serves the next one', async () => {
  // Else H2 has all rows of an answer before it sends the first.
  const { session } = await connect(settings({ url: `${database.url};LAZY_QUERY_EXECUTION=1` }) as SessionSettings, testContext());
  await using _ = session;
  const request = {
    sql: 'SELECT id FROM many, SYSTEM_RANGE(1, 1000000)',
    parameters: [],
    fetchSize: 1_000,
    columns: [{ name: 'id', kind: 'long', digits: 0 }],
    types: [{ kind: 'int8' }],
    schema: { columns: [{ name: 'id', type: { kind: 'int8' }, nullable: false }] },
  } as const;
  for await (const batch of session.read(request)) {
    expect(batch.rowCount).toBe(16_384);
    break;
  }
  expect((await session.query('SELECT 1')).rows).toEqual([['1']]);
});

test('an abort ends the statement at the server, and the session', async () => {
  const stop = new AbortController();
  const { session } = await connect(settings() as SessionSettings, testContext(undefined, { signal: stop.signal }));
  const open = await sessions();
  const running = session.query(endless);
  running.catch(() => {});
  await sleep(200);
  stop.abort(new Error('stopped'));
  await expect(running).rejects.toMatchObject({ code: 'RUN_CANCELLED' });
  await until(async () => (await sessions()) === open - 1);
});

test('Java that is killed is a lost connection, and the next attempt has a new one', async () => {
  const { session } = await connect(settings() as SessionSettings, testContext());
  const running = session.query(endless);
  running.catch(() => {});
  await sleep(100);
  process.kill(javaProcess(javaCommand()).pid as number, 'SIGKILL');
  await expect(running).rejects.toMatchObject({ code: 'CONNECTION_FAILED', message: expect.stringContaining('SIGKILL') });
  await session[Symbol.asyncDispose]();
  expect((await readAll(jdbc(settings()).selection(table('many', { id: int8() })))).rows).toHaveLength(40_000);
});

test('a load whose Java is killed before its commit leaves nothing, and the next attempt does it', async () => {
  await database.sql('CREATE TABLE killed (id INTEGER PRIMARY KEY, note VARCHAR(20))');
  const killed = table('killed', { id: int4(), note: varchar(20).orNull() }, { key: ['id'] });
  const target = jdbc(settings()).table(killed, { mode: 'append' });
  const rows = Array.from({ length: 100 }, (_, id) => ({ id, note: `n${id}` }));
  async function* dying(): AsyncGenerator<ColumnBatch> {
    yield batchOfRows(killed, rows.slice(0, 50));
    process.kill(javaProcess(javaCommand()).pid as number, 'SIGKILL');
    yield batchOfRows(killed, rows.slice(50));
  }
  await expect(
    loadRows(target, { splits: [[]], channel: (schema) => ({ format: 'batches', schema, batches: dying() }) }),
  ).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  expect(await database.sql('SELECT COUNT(*) FROM killed')).toEqual([['0']]);
  expect((await loadRows(target, { epoch: 2, splits: [rows] })).rows).toBe(100);
  expect(await database.sql('SELECT COUNT(*) FROM killed')).toEqual([['100']]);
  expect(await database.sql("SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME LIKE 'MILLRACE_S\\_%'")).toEqual([['0']]);
});

test('merge takes the newest row of a key, by the cursor of the window and by the order of the rows', async () => {
  await database.sql(
    "CREATE TABLE merged (id INTEGER PRIMARY KEY, note VARCHAR(20), at TIMESTAMP(6), kept VARCHAR(9)); INSERT INTO merged VALUES (1, 'old', NULL, 'kept')",
  );
  const merged = table('merged', { id: int4(), note: varchar(20).orNull(), at: timestamp().orNull() }, { key: ['id'] });
  const target = jdbc(settings()).table(merged, { mode: 'merge' });
  const row = (id: number, note: string, day: string | null) => ({ id, note, at: day && `2024-01-0${day}T00:00:00.000000` });
  const first = await loadRows(target, {
    id: 'm1',
    key: 'run-1/merge',
    splits: [[row(1, 'a', null), row(2, 'b', null), row(1, 'c', null)]],
  });
  expect(first).toMatchObject({ rows: 3, changed: { inserted: 1, updated: 1 } });
  expect(await database.sql('SELECT id, note, kept FROM merged ORDER BY id')).toEqual([
    ['1', 'c', 'kept'],
    ['2', 'b', null],
  ]);
  const window = { column: 'at', low: null, high: '2024-01-09' };
  await loadRows(target, {
    id: 'm2',
    step: 'windows',
    key: 'run-2/load',
    window,
    splits: [[row(1, 'newest', '3'), row(1, 'older', '2'), row(2, 'none', null), row(2, 'last', null)]],
  });
  expect(await database.sql('SELECT id, note FROM merged ORDER BY id')).toEqual([
    ['1', 'newest'],
    ['2', 'last'],
  ]);
});

describe('incremental windows', () => {
  test('a time ends just above the greatest value, and not after now less the lag', async () => {
    await database.sql(`CREATE TABLE seen (id INTEGER PRIMARY KEY, at TIMESTAMP(6));
      INSERT INTO seen VALUES (1, TIMESTAMP '2024-01-01 00:00:00'), (2, TIMESTAMP '2024-01-02 00:00:00.000001'), (3, NULL), (4, DATEADD('HOUR', -1, LOCALTIMESTAMP))`);
    const seen = table('seen', { id: int4(), at: timestamp().orNull() });
    const selection = jdbc(settings()).selection(seen);
    const read = async (low: string | null, lagMs: number) => {
      const { rows, plan } = await readAll(selection, { since: { column: 'at', low, lagMs } });
      return { ids: rows.map((row) => row['id']), high: plan.window?.high as string };
    };
    const all = await read(null, 0);
    expect(all.ids).toEqual([1, 2, 3, 4]);
    const old = await read(null, 7_200_000);
    expect(old.ids).toEqual([1, 2, 3]);
    expect(old.high < all.high).toBe(true);
    expect((await read('2024-01-02 00:00:00.000001', 0)).ids).toEqual([2, 4]);
    expect((await read(all.high, 0)).ids).toEqual([]);
    await database.sql("INSERT INTO seen VALUES (5, DATEADD('MINUTE', -30, LOCALTIMESTAMP))");
    expect((await read(all.high, 0)).ids).toEqual([5]);
  });

  test('text is no cursor', async () => {
    await expect(readAll(jdbc(settings()).selection(many), { since: { column: 'note', low: null, lagMs: 0 } })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    });
  });
});

describe('errors say what to do', () => {
  const failure = async (options: JdbcOptions, context: Context = testContext()) => {
    try {
      await readAll(jdbc(options).selection(many), {}, context);
    } catch (error) {
      if (isMillraceError(error)) return error;
      throw error;
    }
    throw new Error('it did not fail');
  };

  test.each([
    ['AUTHENTICATION_FAILED', { password: 'not this one' }],
    ['DATABASE_MISSING', { url: 'jdbc:h2:/nowhere/at-all;IFEXISTS=TRUE' }],
    ['CONNECTION_FAILED', { url: 'jdbc:h2:tcp://127.0.0.1:1/none' }],
    ['CONFIG_INVALID', { url: 'jdbc:oracle:thin:@//127.0.0.1:1/none' }],
    ['CONFIG_INVALID', { driverClass: 'no.such.Driver' }],
    ['CONFIG_INVALID', { drivers: ['/no/such.jar'] }],
    ['CONFIG_INVALID', { java: { home: '/no/such/java' } }],
  ] as const)('%s for %j', async (code, more) => {
    expect(await failure(settings(more))).toMatchObject({ code });
  });

  test('a table that is not there is named', async () => {
    await expect(readAll(jdbc(settings()).selection(table('nowhere', { id: int4() })))).rejects.toMatchObject({ code: 'TABLE_MISSING' });
  });

  test('a query that the database refuses is its message, with SQLSTATE and its own code', async () => {
    const wrong = jdbc(settings()).query('SELECT nothing FROM many', { as: many });
    await expect(readAll(wrong)).rejects.toMatchObject({ facts: { sqlstate: '42S22', vendorCode: 42122 } });
  });

  test('a password is in no message, wherever it stood', async () => {
    const url = `${database.url};USER=sa;PASSWORD=hidden-word`;
    const error = await failure(
      settings({ url: secret('H2_URL'), user: undefined as never, password: undefined as never }),
      testContext(undefined, { secret: async () => url }),
    );
    expect(error.code).toBe('AUTHENTICATION_FAILED');
    expect(JSON.stringify([error.message, error.facts, error.remedy])).not.toContain('hidden-word');
    expect(error.message).toContain('secret(H2_URL)');
  });

  test('a password that has been changed since is looked up anew', async () => {
    const asked: (string | undefined)[] = [];
    const context = testContext(undefined, {
      secret: async (_ref, refused) => {
        asked.push(refused);
        return refused === undefined ? 'the old one' : database.password;
      },
    });
    const { rows } = await readAll(
      jdbc(settings({ password: secret('H2_PASSWORD') })).selection(table('many', { id: int8() })),
      {},
      context,
    );
    expect(rows).toHaveLength(40_000);
    expect(asked).toContain('the old one');
  });

  test('doctor says what it has reached', async () => {
    const findings = await jdbc(settings()).examine(testContext());
    expect(findings.map(({ level }) => level)).toEqual(['ok', 'ok']);
    expect(findings[0]?.message).toMatch(/^connected as "SA" to H2 2\./);
    const [problem] = await jdbc(settings({ password: 'wrong' })).examine(testContext());
    expect(problem).toMatchObject({ level: 'problem', error: { code: 'AUTHENTICATION_FAILED' } });
  });
});

test('rows are told apart by whole numbers and NULL at the source, and columns renamed and left out', async () => {
  const selection = jdbc(settings()).selection(many);
  const absorbed = [
    {
      op: 'filter',
      where: [
        { column: 'id', is: '<=', value: 3 },
        { column: 'note', is: 'not null' },
        { column: 'id', is: 'not in', value: [2] },
      ],
    },
    { op: 'rename', columns: { id: 'number' } },
    { op: 'select', columns: ['number'] },
  ] as const;
  expect(absorbed.every((op, at) => selection.absorbs(op, absorbed.slice(0, at)))).toBe(true);
  expect(selection.absorbs({ op: 'filter', where: [{ column: 'note', is: '=', value: 'x' }] }, [])).toBe(false);
  expect((await readAll(selection, { absorbed })).rows).toEqual([{ number: 1n }, { number: 3n }]);
});

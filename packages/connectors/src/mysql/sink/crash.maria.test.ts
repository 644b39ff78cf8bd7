import { int8, type LoadMode, table } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../../../../../test/bundle.ts';
import { AttemptProcess, passes } from '../../../../../test/crash/processes.ts';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { batches, loadRows, specOf, split, testContext } from '../../../test/load.ts';
import { loadFirst, loadSecond, type MysqlErrand, things } from '../../../test/mysql-attempt.ts';
import { mysql } from '../index.ts';

let program: Awaited<ReturnType<typeof bundled>>;
let server: MariaDbServer;
beforeAll(async () => {
  [program, server] = await Promise.all([bundled(new URL('../../../test/mysql-attempt.ts', import.meta.url)), mariaDbServer()]);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await program?.[Symbol.asyncDispose]();
});

type Errand = ConstructorParameters<typeof AttemptProcess>[1];
const errand = ({ url }: MariaDbDatabase, mode: LoadMode, epoch: number) =>
  ({ url, mode, epoch }) satisfies MysqlErrand as unknown as Errand;

/** Everything that readers and the next load can see. */
async function outcome(database: MariaDbDatabase): Promise<unknown> {
  return {
    things: (await database.sql('select * from things')).map((row) => JSON.stringify(row)).sort(),
    applied: await database.sql('select load_id, receipt from _millrace_applied order by 1'),
    checkpoints: await database.sql('select pipeline, step, checkpoint, load_id, run_at from _millrace_checkpoint order by 1'),
    swaps: await database.sql('select * from _millrace_swap'),
  };
}

/** What the next load of the table would clean up, and no more. */
async function leftovers(database: MariaDbDatabase): Promise<string[]> {
  const tables = await database.sql(
    `select table_name as name from information_schema.tables where table_schema = database() and table_name regexp '^_millrace_(part|built|retired)'`,
  );
  return tables.map(({ name }) => name ?? '');
}

async function scene(mode: LoadMode, prepare: readonly string[]): Promise<MariaDbDatabase> {
  const database = await server.database();
  await loadFirst({ url: database.url, mode, epoch: 1 });
  if (prepare.length > 0) await database.sql(...prepare);
  return database;
}

test.for([
  ['append', []],
  ['merge', []],
  ['history', []],
  ['replace', []],
  ['replace', ['create table pointing (id bigint references things (id))']],
] as const)(
  '%s %j: killed twice anywhere, or asleep until its successor is done, nothing is lost and nothing comes twice',
  { timeout: 240_000 },
  async ([mode, prepare]) => {
    const calm = await scene(mode, prepare);
    const counts = await passes(program.file, errand(calm, mode, 1));
    const expected = await outcome(calm);
    expect(await leftovers(calm)).toEqual([]);
    const differences: Record<string, unknown> = {};
    // What is before the commit is the same for all modes.
    const queue = [...counts].filter(([point]) => point.startsWith(`mysql.${mode}`) || (mode === 'merge' && point.startsWith('mysql.')));
    expect(queue.length).toBeGreaterThan(3);
    const disturb = async (point: string, times: number): Promise<void> => {
      const database = await scene(mode, prepare);
      const sleeper = new AttemptProcess(program.file, errand(database, mode, 1), `${point}:${times}:pause`);
      try {
        if (!(await sleeper.sleeps())) throw new Error(`${point} was not reached.`);
        const killed = await new AttemptProcess(program.file, errand(database, mode, 2), point).end();
        await loadSecond({ url: database.url, mode, epoch: 3 });
        const before = await outcome(database);
        const woken = await sleeper.wake();
        const after = await outcome(database);
        if (JSON.stringify(before) !== JSON.stringify(expected)) differences[point] = { killed: killed.how, before };
        else if (JSON.stringify(after) !== JSON.stringify(before)) differences[`${point}, woken`] = { woken, after };
      } finally {
        sleeper.kill();
      }
    };
    const lane = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) await disturb(...next);
    };
    await Promise.all([lane(), lane(), lane()]);
    expect(differences).toEqual({});
  },
);

test('a swap that was withdrawn is not taken for one that has happened, also where its withdrawal was cut short', async () => {
  const calm = await scene('replace', []);
  await loadSecond({ url: calm.url, mode: 'replace', epoch: 1 });
  const database = await scene('replace', []);
  const [announced, withdrawn] = [
    await new AttemptProcess(program.file, errand(database, 'replace', 1), 'mysql.replace.announced').end(),
    await new AttemptProcess(program.file, errand(database, 'replace', 2), 'mysql.replace.withdrawn').end(),
  ];
  expect([announced.how, withdrawn.how]).not.toContain('done');
  await loadSecond({ url: database.url, mode: 'replace', epoch: 3 });
  expect(await outcome(database)).toEqual(await outcome(calm));
});

test.each(['mysql.replace.announced', 'mysql.replace.swapped'])(
  'what other loads clean up is never a table of an announced swap: killed at %s',
  async (point) => {
    const calm = await scene('replace', []);
    await loadSecond({ url: calm.url, mode: 'replace', epoch: 1 });
    const others = table('others', { id: int8() }, { key: ['id'] });
    const other = ({ url }: MariaDbDatabase) =>
      loadRows(mysql({ url }).table(others, { mode: 'append', schema: 'create' }), {
        id: 'load-3',
        key: 'run-3/others',
        step: 'others',
        splits: [[{ id: 1n }]],
      });
    await other(calm);
    const database = await scene('replace', []);
    await new AttemptProcess(program.file, errand(database, 'replace', 1), point).end();
    await database.sql('update _millrace_staged set staged_at = staged_at - interval 8 day');
    await other(database);
    expect(await database.sql('select built from _millrace_swap')).toHaveLength(1);
    await loadSecond({ url: database.url, mode: 'replace', epoch: 2 });
    expect(await outcome(database)).toEqual(await outcome(calm));
    expect(await leftovers(database)).toEqual([]);
  },
);

test('a table that is gone when the swap comes leaves no announcement behind', async () => {
  const database = await scene('replace', []);
  const sleeper = new AttemptProcess(program.file, errand(database, 'replace', 1), 'mysql.replace.announced:1:pause');
  try {
    expect(await sleeper.sleeps()).toBe(true);
    await database.sql('rename table things to elsewhere');
    await sleeper.wake();
  } finally {
    sleeper.kill();
  }
  expect(await database.sql('select * from _millrace_swap')).toEqual([]);
  expect(await database.sql('select load_id from _millrace_applied')).toEqual([{ load_id: 'load-1' }]);
  expect(await leftovers(database)).toEqual([]);
});

test('a load of another run does not commit between the announcement of a swap and its note', async () => {
  const database = await scene('replace', []);
  const target = mysql({ url: database.url }).table(things, { mode: 'replace' });
  const context = testContext('2026-03-31T02:00:00.000Z');
  const { spec, fence, checkpoint } = specOf(target, { id: 'load-3', key: 'run-3/load', runAt: '2026-03-31T02:00:00.000Z', splits: [] });
  await using sink = await target.open(context);
  await using session = await sink.begin(spec, fence);
  const part = await session.stage(split(0), batches(things, [{ id: 7n, code: 'c7', total: '7.00', note: null }]));
  const sleeper = new AttemptProcess(program.file, errand(database, 'replace', 1), 'mysql.replace.announced:1:pause');
  try {
    expect(await sleeper.sleeps()).toBe(true);
    await expect(session.commit([part], checkpoint)).rejects.toMatchObject({ code: 'LOAD_CONFLICT' });
    expect(await sleeper.wake()).toMatchObject({ how: 'done' });
  } finally {
    sleeper.kill();
  }
  expect(await database.sql('select load_id from _millrace_checkpoint')).toEqual([{ load_id: 'load-2' }]);
  await session.commit([part], checkpoint);
  expect(await database.sql('select id from things')).toEqual([{ id: '7' }]);
  expect(await database.sql('select load_id from _millrace_checkpoint')).toEqual([{ load_id: 'load-3' }]);
});

test('what a killed attempt has left beside the table is taken away by a later load', async () => {
  const database = await scene('replace', []);
  await new AttemptProcess(program.file, errand(database, 'replace', 1), 'mysql.replace.built').end();
  expect(await leftovers(database)).not.toEqual([]);
  await loadSecond({ url: database.url, mode: 'replace', epoch: 2 });
  expect(await leftovers(database)).toEqual([]);
});

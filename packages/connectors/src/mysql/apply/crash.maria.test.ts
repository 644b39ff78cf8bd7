import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../../../../../test/bundle.ts';
import { AttemptProcess, passes } from '../../../../../test/crash/processes.ts';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer, testedServer } from '../../../../../test/mariadb-server.ts';
import type { ApplyErrand } from '../../../test/apply-attempt.ts';
import { binaryCollation } from '../sink/sql-type.ts';
import { mysqlApplyFailpoints } from './failpoints.ts';

let program: Awaited<ReturnType<typeof bundled>>;
let server: MariaDbServer;
beforeAll(async () => {
  [program, server] = await Promise.all([bundled(new URL('../../../test/apply-attempt.ts', import.meta.url)), mariaDbServer()]);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await program?.[Symbol.asyncDispose]();
});

const errand = ({ url }: MariaDbDatabase, epoch: number) =>
  ({ url, mode: 'mirror', epoch }) satisfies ApplyErrand as unknown as ConstructorParameters<typeof AttemptProcess>[1];

/** Everything that readers and the next attempt can see; times of our own clock and names by chance aside. */
async function outcome(db: MariaDbDatabase): Promise<unknown> {
  return {
    things: await db.sql('select id, name, size, colour from things order by id'),
    others: await db.sql('select * from others order by id'),
    stream: await db.sql('select identity, position, mark from _millrace_stream'),
    tables: await db.sql(
      'select table_name, target, begun, copied, shadow, retired, takes_over_at from _millrace_stream_table order by table_name',
    ),
    splits: await db.sql('select * from _millrace_stream_split'),
    relations: await db.sql('select table_name as name from information_schema.tables where table_schema = database() order by 1'),
  };
}

const things = `create table things (id bigint primary key, name longtext) default character set utf8mb4 collate ${binaryCollation[testedServer().flavour]}`;
const run = (db: MariaDbDatabase, epoch: number, failpoint = '') => new AttemptProcess(program.file, errand(db, epoch), failpoint).end();

test.for([
  [[], /./],
  // Then a new copy is filled into the table, which is not swapped.
  [[things, 'create table pointing (id bigint references things (id))'], /copy\.finish/],
] as const)(
  'killed twice anywhere, or asleep until its successor is done, nothing is lost and nothing comes twice: %j',
  {
    timeout: 240_000,
  },
  async ([prepare, wanted]) => {
    const scene = async (): Promise<MariaDbDatabase> => {
      const db = await server.database();
      if (prepare.length > 0) await db.sql(...prepare);
      return db;
    };
    const calm = await scene();
    const counts = await passes(program.file, errand(calm, 1));
    const points = [...counts.keys()].filter((point) => point.startsWith('mysql.apply'));
    const calmPoints = mysqlApplyFailpoints.filter((point) => point !== 'mysql.apply.copy.withdrawn');
    if (prepare.length === 0) expect(points.sort()).toEqual(calmPoints.sort());
    else expect(points).not.toContain('mysql.apply.copy.announced');
    const expected = await outcome(calm);
    const differences: Record<string, unknown> = {};
    const disturb = async (point: string, times: number): Promise<void> => {
      const db = await scene();
      const sleeper = new AttemptProcess(program.file, errand(db, 1), `${point}:${times}:pause`);
      try {
        if (!(await sleeper.sleeps())) throw new Error(`${point} was not reached.`);
        const killed = await run(db, 2, point);
        const last = await run(db, 3);
        if (last.how !== 'done') {
          differences[`${point}, third`] = last.said;
          return;
        }
        const before = await outcome(db);
        const woken = await sleeper.wake();
        const after = await outcome(db);
        if (JSON.stringify(before) !== JSON.stringify(expected)) differences[point] = { killed: killed.how, before };
        else if (JSON.stringify(after) !== JSON.stringify(before)) differences[`${point}, woken`] = { woken, after };
      } finally {
        sleeper.kill();
      }
    };
    const queue = [...counts].filter(([point]) => wanted.test(point));
    const lane = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) await disturb(...next);
    };
    await Promise.all([lane(), lane(), lane()]);
    expect(differences).toEqual({});
  },
);

test('a take-over that was withdrawn is not taken for one that has happened, also where its withdrawal was cut short', async () => {
  const [calm, db] = [await server.database(), await server.database()];
  await run(calm, 1);
  const announced = await run(db, 1, 'mysql.apply.copy.announced');
  const withdrawn = await run(db, 2, 'mysql.apply.copy.withdrawn');
  expect([announced.how, withdrawn.how]).not.toContain('done');
  expect(await run(db, 3)).toMatchObject({ how: 'done' });
  expect(await outcome(db)).toEqual(await outcome(calm));
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../../../../../test/bundle.ts';
import { AttemptProcess, passes } from '../../../../../test/crash/processes.ts';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import type { ApplyErrand } from '../../../test/apply-attempt.ts';
import { postgresApplyFailpoints } from './failpoints.ts';
import type { ApplyMode } from './settings.ts';

let program: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  program = await bundled(new URL('../../../test/apply-attempt.ts', import.meta.url));
});
afterAll(() => program?.[Symbol.asyncDispose]());

const errand = (db: TestDatabase, mode: ApplyMode, epoch: number) =>
  ({ url: db.url, mode, epoch }) satisfies ApplyErrand as unknown as ConstructorParameters<typeof AttemptProcess>[1];

/** Everything that readers and the next attempt can see; times of our own clock aside. */
async function outcome(db: TestDatabase): Promise<unknown> {
  return {
    things: await db.sql('select * from things order by id, to_jsonb(things)::text'),
    others: await db.sql('select * from others order by id, to_jsonb(others)::text'),
    stream: await db.sql('select identity, position from _millrace.stream'),
    tables: await db.sql('select table_name, target, made, begun, copied, shadow from _millrace.stream_table order by 1'),
    splits: await db.sql('select * from _millrace.stream_split'),
    relations: await db.sql(`select relname from pg_class where relnamespace = 'public'::regnamespace order by 1`),
  };
}

const run = async (db: TestDatabase, mode: ApplyMode, epoch: number, failpoint = '') =>
  new AttemptProcess(program.file, errand(db, mode, epoch), failpoint).end();

test.for(['mirror', 'history'] as const)(
  '%s: killed twice anywhere, or asleep until its successor is done, nothing is lost and nothing comes twice',
  { timeout: 240_000 },
  async (mode) => {
    await using calm = await testDatabase();
    const counts = await passes(program.file, errand(calm, mode, 1));
    expect([...counts.keys()].filter((point) => point.startsWith('postgres.apply')).sort()).toEqual([...postgresApplyFailpoints].sort());
    const expected = await outcome(calm);
    const differences: Record<string, unknown> = {};
    const disturb = async (point: string, times: number): Promise<void> => {
      await using db = await testDatabase();
      const sleeper = new AttemptProcess(program.file, errand(db, mode, 1), `${point}:${times}:pause`);
      try {
        if (!(await sleeper.sleeps())) throw new Error(`${point} was not reached.`);
        const killed = await run(db, mode, 2, point);
        const last = await run(db, mode, 3);
        if (last.how !== 'done') differences[`${point}, third`] = last.said;
        const before = await outcome(db);
        const woken = await sleeper.wake();
        const after = await outcome(db);
        if (JSON.stringify(before) !== JSON.stringify(expected)) differences[point] = { killed: killed.how, before };
        else if (JSON.stringify(after) !== JSON.stringify(before)) differences[`${point}, woken`] = { woken, after };
      } finally {
        sleeper.kill();
      }
    };
    // What is peculiar to a history is how its groups and copies end.
    const queue = [...counts].filter(([point]) => mode === 'mirror' || /written|positioned|committed|finish/.test(point));
    const lane = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) await disturb(...next);
    };
    await Promise.all([lane(), lane(), lane()]);
    expect(differences).toEqual({});
  },
);

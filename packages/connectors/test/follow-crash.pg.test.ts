import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../../../test/bundle.ts';
import type { Errand } from '../../../test/crash/attempt.ts';
import { AttemptProcess, passes } from '../../../test/crash/processes.ts';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { redshiftApplyFailpoints } from '../src/redshift/index.ts';
import { changeLogFailpoints } from '../src/s3/index.ts';
import { copied, type FollowErrand, follow, history, tables } from './follow-once.ts';
import { readLog, stateOf } from './read-log.ts';

let home: string;
let database: TestDatabase;
let program: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'millrace-crash-'));
  database = await testDatabase();
  program = await bundled(new URL('./follow-once.ts', import.meta.url));
});
afterAll(async () => {
  await program?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

let made = 0;
const sceneOf = (sink: FollowErrand['sink']) => {
  const schema = `${sink}_${++made}`;
  return (epoch: number): FollowErrand => ({ sink, lake: `file:${home}/lake`, database: database.url, schema, epoch });
};
const processAt = (errand: FollowErrand, failpoint: string) => new AttemptProcess(program.file, errand as unknown as Errand, failpoint);

const last = history.states.at(-1) ?? {};
const expected = Object.fromEntries(
  Object.keys(tables).map((name) => [
    name,
    [...(last[name] ?? []), ...copied].map((row) => ({ ...row, id: Number(row.id) })).sort((a, b) => a.id - b.id),
  ]),
);

/** What readers see. Of a log also that each change is there once. */
async function outcome({ sink, lake, schema }: FollowErrand): Promise<unknown> {
  const names = Object.keys(tables);
  if (sink === 'mirror') {
    const rows = await Promise.all(names.map((name) => database.sql(`select id::int, note, total from "${schema}"."${name}" order by id`)));
    return { rows: Object.fromEntries(names.map((name, at) => [name, rows[at]])) };
  }
  const log = await readLog(`${lake}/${schema}`, {}, home);
  const changes = Object.values(log)
    .flat()
    .map(({ _op, _position, _ordinal }) => `${_position} ${_ordinal} ${_op}`);
  return {
    rows: Object.fromEntries(names.map((name) => [name, stateOf(log[name] ?? [])])),
    changes: changes.length,
    distinct: new Set(changes).size,
  };
}

test.for([
  ['log', changeLogFailpoints],
  ['mirror', redshiftApplyFailpoints],
] as const)(
  'a %s that is killed twice at any instant, and woken after its successors, has each change once',
  { timeout: 300_000 },
  async ([sink, points]) => {
    const calm = sceneOf(sink);
    const passed = await passes(program.file, calm(1) as unknown as Errand);
    expect([...passed.keys()]).toEqual(expect.arrayContaining([...points]));
    const right = await outcome(calm(1));
    expect(right).toMatchObject({ rows: expected });
    const differences: Record<string, unknown> = {};
    const disturb = async (point: string): Promise<void> => {
      const scene = sceneOf(sink);
      const sleeper = processAt(scene(1), `${point}:${Math.ceil(passed.get(point)! / 2)}:pause`);
      if (!(await sleeper.sleeps())) throw new Error(`Nobody fell asleep at ${point}: ${(await sleeper.ended).said}`);
      const killed = await processAt(scene(2), point).end();
      const again = await processAt(scene(3), `${point}:${Math.ceil(passed.get(point)! / 3)}`).end();
      await follow(scene(4));
      const before = JSON.stringify(await outcome(scene(4)));
      const woken = await sleeper.wake();
      const after = JSON.stringify(await outcome(scene(4)));
      const isRefused = woken.how === 'done' || /ATTEMPT_FENCED|CONNECTION_FAILED|LOAD_CONFLICT/.test(woken.said);
      if (!isRefused || after !== JSON.stringify(right) || before !== after)
        differences[point] = { killed: killed.how, again: again.how, woken: `${woken.how} ${woken.said.slice(0, 300)}`, before, after };
    };
    const queue = [...points];
    const lane = async (): Promise<void> => {
      for (let point = queue.shift(); point; point = queue.shift()) await disturb(point);
    };
    await Promise.all([lane(), lane(), lane()]);
    expect(differences).toEqual({});
  },
);

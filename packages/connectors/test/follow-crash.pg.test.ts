import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../../../test/bundle.ts';
import type { Errand } from '../../../test/crash/attempt.ts';
import { passes } from '../../../test/crash/processes.ts';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { redshiftApplyFailpoints } from '../src/redshift/index.ts';
import { changeLogFailpoints } from '../src/s3/index.ts';
import { disturbedAt } from './disturbed.ts';
import { outcomeOfHistory as expected, type FollowErrand, tables } from './follow-once.ts';
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
    const differences = await disturbedAt(points, { program: program.file, passed, scene: () => sceneOf(sink), outcome, right });
    expect(differences).toEqual({});
  },
);

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { type Errand, runErrand, runStatement, type SqlErrand } from '../../../test/load-once.ts';
import { type PostgresFailpoint, postgresFailpoints } from './failpoints.ts';

/** Runs the errand in a process that is killed when it comes past the failpoint. Answers how it ended. */
function killedAt(point: PostgresFailpoint, errand: Errand | SqlErrand): Promise<'killed' | 'done'> {
  const script = fileURLToPath(new URL('../../../test/load-once.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=millrace-source', script, JSON.stringify(errand)], {
    env: { ...process.env, MILLRACE_FAILPOINT: point },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  return new Promise((resolve, reject) =>
    child.on('exit', (code, signal) => {
      if (signal === 'SIGKILL') resolve('killed');
      else if (code === 0) resolve('done');
      else reject(new Error(`The load failed instead of being killed: ${said}`));
    }),
  );
}

const modes = ['append', 'merge', 'replace', 'history'] as const;
type Case = readonly [PostgresFailpoint, Errand['mode'], boolean];

/** Every failpoint, in each way of loading that passes it. */
const cases: Case[] = postgresFailpoints.flatMap((point): Case[] => {
  const [, place, instant] = point.split('.');
  const mode = modes.find((one) => one === place);
  if (place === 'sql') return [];
  if (place === 'staged')
    return (instant === 'begun' ? ['append'] : (['append', 'merge'] as const)).map((one) => [point, one as Errand['mode'], true]);
  if (!mode) return [[point, 'append', false]];
  if (instant === 'copied' || instant === 'fenced') return [[point, mode, false]];
  return [[point, mode, false], ...(instant === 'written' || instant === 'committed' ? ([[point, mode, true]] as Case[]) : [])];
});

const first = (url: string, mode: Errand['mode'], parallel: boolean): Errand => ({
  url,
  mode,
  parallel,
  schema: 'create',
  id: 'first',
  epoch: 1,
  logicalTime: '2026-03-01T00:00:00.000Z',
  splits: [[1, 2, 3, 4]],
  version: 'a',
});

const second = (url: string, mode: Errand['mode'], parallel: boolean, schema: Errand['schema']): Errand => ({
  url,
  mode,
  parallel,
  schema,
  id: 'second',
  epoch: 1,
  logicalTime: '2026-03-02T00:00:00.000Z',
  version: 'b',
  splits:
    mode === 'append'
      ? [[5, 6], [7]]
      : [
          [1, 2, 3],
          [5, 6],
        ],
});

/** What stands before the load that is killed, and what may be done to it. */
async function prepare(db: TestDatabase, [point, mode, parallel]: Case): Promise<Errand> {
  const made = point === 'postgres.table.created' || point === 'postgres.ledger.made';
  if (!made) await runErrand(first(db.url, mode, parallel));
  if (point === 'postgres.table.altered') await db.sql('alter table people drop column note');
  return second(db.url, mode, parallel, point === 'postgres.table.altered' ? 'evolve' : 'create');
}

async function whole(db: TestDatabase) {
  return {
    rows: await db.sql('select to_jsonb(p) as row from people p order by to_jsonb(p)::text'),
    checkpoint: await db.sql('select pipeline, step, checkpoint, load_id, run_at from _millrace.checkpoint'),
    applied: await db.sql('select load_id, receipt from _millrace.applied order by load_id'),
    leftovers: await db.sql(`select relname from pg_class where relname ~ '^part_|__load_' and relkind = 'r'`),
    staged: await db.sql('select count(*)::int as n from _millrace.staged'),
    shape: await db.sql(
      `select attname, attnotnull from pg_attribute where attrelid = 'people'::regclass and attnum > 0 and not attisdropped order by attname`,
    ),
    keys: await db.sql(
      `select conname, pg_get_constraintdef(oid) as def from pg_constraint where conrelid = 'people'::regclass and contype <> 'n' order by 1`,
    ),
  };
}

/** What the same loads leave where nobody is killed. Runs once for all failpoints of a way. */
const calm = new Map<string, Promise<unknown>>();
function undisturbed(one: Case): Promise<unknown> {
  const [point, mode, parallel] = one;
  const way = `${mode} ${parallel} ${point.startsWith('postgres.table') || point.startsWith('postgres.ledger') ? point : ''}`;
  const known = calm.get(way) ?? runUndisturbed(one);
  calm.set(way, known);
  return known;
}

async function runUndisturbed(one: Case): Promise<unknown> {
  await using db = await testDatabase();
  const errand = await prepare(db, one);
  await runErrand(errand);
  await runErrand(third(errand));
  return await whole(db);
}

/** What a crash between commit and clean-up leaves, the next load of the pipeline takes away. */
const third = (errand: Errand): Errand => ({ ...errand, id: 'third', epoch: 4, logicalTime: '2026-03-03T00:00:00.000Z', splits: [] });

describe.concurrent('a load that is killed twice and then finishes is as one that nothing happened to', () => {
  test.for(cases)('%s (%s, parallel: %s)', { timeout: 60_000 }, async (one, { expect }) => {
    await using db = await testDatabase();
    const errand = await prepare(db, one);
    expect(await killedAt(one[0], errand)).toBe('killed');
    await killedAt(one[0], { ...errand, epoch: 2 });
    await runErrand({ ...errand, epoch: 3 });
    await runErrand(third(errand));
    expect(await whole(db)).toEqual(await undisturbed(one));
  });
});

test.for(['postgres.sql.executed', 'postgres.sql.committed'] as const)('statements that are killed twice (%s) run once', async (point) => {
  await using db = await testDatabase();
  await db.sql('create table n (at timestamptz)');
  const errand = { url: db.url, statement: 'insert into n values (now())' };
  expect(await killedAt(point, { ...errand, epoch: 1 })).toBe('killed');
  await killedAt(point, { ...errand, epoch: 2 });
  await runStatement({ ...errand, epoch: 3 });
  expect(await db.sql('select count(*)::int as n from n')).toEqual([{ n: 1 }]);
});

test('the matrix passes every failpoint of loads', () => {
  const passed = new Set(cases.map(([point]) => point));
  expect(postgresFailpoints.filter((point) => !passed.has(point) && !point.startsWith('postgres.sql.'))).toEqual([]);
});

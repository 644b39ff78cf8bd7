import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestDatabase, testDatabase } from '../postgres.ts';
import { attempt, type Errand } from './attempt.ts';
import { type CrashWay, changeSource, filler, makeSource, type Place } from './ways.ts';

/** Source and target of a way, in the state before the run that is disturbed. */
export interface Scene extends AsyncDisposable {
  readonly way: CrashWay;
  readonly database: TestDatabase;
  errand(run: number, epoch: number): Errand;
  /** Runs in this process, without a disturbance. */
  run(run: number, epoch: number): Promise<void>;
  /** All that a load can change and that must not depend on how often it was tried. */
  state(): Promise<unknown>;
  /** What may lie about until the next load: parts that nobody needs. */
  leftovers(): Promise<unknown>;
  copy(): Promise<Scene>;
}

/** The run that is disturbed. */
export const disturbedRun = 2;

export async function sceneOf(way: CrashWay): Promise<Scene> {
  const database = await testDatabase();
  const scene = standing(way, database);
  for (const statement of [...makeSource, ...(way.prepare ?? [])]) await database.sql(statement);
  if (way.hasEarlierRun !== false) await scene.run(1, 1);
  for (const statement of [...changeSource, ...(way.before ?? [])]) await database.sql(statement);
  return scene;
}

function standing(way: CrashWay, database: TestDatabase): Scene {
  const directory = mkdtempSync(path.join(tmpdir(), 'millrace-scene-'));
  const place: Place = { url: database.url };
  const errand = (run: number, epoch: number): Errand => ({
    way: way.name,
    place,
    run,
    epoch,
    journal: path.join(directory, `run-${run}.json`),
  });
  return {
    way,
    database,
    errand,
    run: async (run, epoch) => void (await attempt(errand(run, epoch))),
    state: () => databaseState(database, way.tables),
    leftovers: () => databaseLeftovers(database),
    copy: async () => standing(way, await testDatabase(database)),
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function databaseState(database: TestDatabase, tables: readonly string[]): Promise<unknown> {
  const state: Record<string, unknown> = {};
  for (const name of tables) {
    // A moment of the clock differs between any two runs, and a later attempt may split otherwise.
    state[name] = await database.sql(
      `select replace((to_jsonb(t) - array['rejected_at', 'split', 'ordinal'])::text, $1, '…') as row, count(*)::int from ${name} t group by 1 order by 1`,
      [filler],
    );
    state[`${name}: columns`] = await database.sql(
      `select attname, attnotnull, format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attname`,
      [name],
    );
    state[`${name}: constraints`] = await database.sql(
      `select conname, pg_get_constraintdef(oid) as def from pg_constraint where conrelid = $1::regclass and contype <> 'n' order by 1`,
      [name],
    );
  }
  state['checkpoint'] = await database.sql('select pipeline, step, checkpoint, load_id, run_at from _millrace.checkpoint order by 1, 2');
  // Bytes depend on how many splits the rows came in, and a later attempt may split otherwise.
  state['applied'] = await database.sql(
    `select load_id, pipeline, step, run, receipt - 'bytes' as receipt from _millrace.applied order by load_id`,
  );
  return state;
}

async function databaseLeftovers(database: TestDatabase): Promise<unknown> {
  return {
    staged: await database.sql('select load_id, split from _millrace.staged order by 1, 2'),
    tables: await database.sql(
      `select relname from pg_class where relnamespace = any (array['public', '_millrace']::regnamespace[]) and relkind = 'r' order by 1`,
    ),
    locks: await database.sql(
      'select count(*)::int as held from pg_locks where locktype = $1 and database = (select oid from pg_database where datname = current_database())',
      ['advisory'],
    ),
  };
}

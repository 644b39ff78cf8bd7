import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DuckDBInstance as Instance } from '../../packages/connectors/node_modules/@duckdb/node-api/lib/index.js';
import { listManifests, openDataset } from '../../packages/connectors/src/s3/index.ts';
import { manyListeners } from '../../packages/core/src/run/many-listeners.ts';
import { type TestDatabase, testDatabase } from '../postgres.ts';
import { attempt, type Errand } from './attempt.ts';
import { type CrashWay, changeSource, filler, makeSource, type Place } from './ways.ts';

const { DuckDBInstance } = (await import(
  createRequire(new URL('../../packages/connectors/package.json', import.meta.url)).resolve('@duckdb/node-api')
)) as {
  DuckDBInstance: typeof Instance;
};

/** Source and target of a way, in the state before the run that is disturbed. */
export interface Scene extends AsyncDisposable {
  readonly way: CrashWay;
  errand(run: number, epoch: number): Errand;
  /** Runs to the end, without a disturbance, in this process. */
  run(run: number, epoch: number): Promise<void>;
  /** All that a load can change and that must not depend on how often it was tried. */
  state(): Promise<unknown>;
  /** What may lie about until the next load: parts that nobody needs. */
  leftovers(): Promise<unknown>;
  /** The same once more, of which only one may be there at a time: it stands in the same place, because loads of files are named after theirs. */
  again(): Promise<Scene>;
}

/** The run that is disturbed. */
export const disturbedRun = 2;

export interface Stage {
  /** `attempt.ts` as a program. */
  readonly program: string;
  /** Where files go, if not into a directory. */
  readonly makeLake?: () => Promise<Lake>;
}

type Lake = Place['lake'] &
  AsyncDisposable & {
    /** What it answers puts everything back as it is now. */
    keep(): Promise<() => Promise<void>>;
  };

export async function sceneOf(way: CrashWay, stage: Stage): Promise<Scene> {
  const home = mkdtempSync(path.join(tmpdir(), 'millrace-scene-'));
  const directory = path.join(home, 'now');
  mkdirSync(directory);
  const made = await stage.makeLake?.();
  const lake: Place['lake'] = made ?? { url: `file:${directory}/lake` };
  const database = await testDatabase();
  const place: Place = { url: database.url, lake };
  for (const statement of [...makeSource, ...(way.prepare ?? [])]) await database.sql(statement);
  const scene = standing(way, directory, place, database);
  if (way.hasEarlierRun !== false) await scene.run(1, 1);
  for (const statement of [...changeSource, ...(way.before ?? [])]) await database.sql(statement);
  if (way.over) await attempt({ ...scene.errand(disturbedRun, 0), until: way.over });
  const kept = path.join(home, 'kept');
  link(directory, kept);
  const putBack = await made?.keep();
  return {
    ...scene,
    async again() {
      await putBack?.();
      rmSync(directory, { recursive: true });
      link(kept, directory);
      const copy = await testDatabase(database);
      const again = standing(way, directory, { ...place, url: copy.url }, copy);
      return { ...again, [Symbol.asyncDispose]: () => copy[Symbol.asyncDispose]() };
    },
    async [Symbol.asyncDispose]() {
      await made?.[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Links rather than copies: a file of the lake is known by its inode. Nothing is ever written over. */
const link = (from: string, to: string): void => void execFileSync('cp', ['-al', from, to]);

function standing(way: CrashWay, directory: string, place: Place, database: TestDatabase): Scene {
  const { lake } = place;
  const errand = (run: number, epoch: number): Errand => ({
    way: way.name,
    place,
    run,
    epoch,
    journal: path.join(directory, `run-${run}.json`),
  });
  const scene: Scene = {
    way,
    errand,
    run: async (run, epoch) => void (await attempt(errand(run, epoch))),
    state: async () => {
      const state = way.tables.length > 0 ? await databaseState(database, way.tables) : {};
      return way.hasLake ? withoutPlaces({ ...state, manifests: await manifests(lake) }, lake.url) : state;
    },
    leftovers: async () => (way.tables.length > 0 ? await databaseLeftovers(database) : []),
    again: async () => scene,
    [Symbol.asyncDispose]: async () => {},
  };
  return scene;
}

/** The view of who reads the dataset: every manifest, and whether its files are there. Names of files hold the attempt that made them. */
async function manifests({ url, ...settings }: Place['lake']): Promise<unknown> {
  const context = { signal: manyListeners(new AbortController().signal), secret: async () => '' };
  await using storage = await openDataset(`${url}/rows/`, settings, context);
  const all = await listManifests(storage);
  return await Promise.all(
    all.map(async ({ entries, files, bytes: _, epoch: __, committedAt: ___, ...rest }) => {
      const spool = mkdtempSync(path.join(tmpdir(), 'millrace-read-'));
      const paths = await Promise.all(
        files.map(({ key, etag, bytes }, at) => storage.fetch({ key, etag, size: bytes }, path.join(spool, `${at}`))),
      );
      const content = await parquetRows(paths);
      rmSync(spool, { recursive: true });
      return { ...rest, listed: entries.length === files.length, content };
    }),
  );
}

/** All rows in an order of their own, by their digest. */
async function parquetRows(files: readonly string[]): Promise<unknown> {
  if (files.length === 0) return [];
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  const list = files.map((file) => `'${file}'`).join(', ');
  const result = await connection.runAndReadAll(
    `select count(*)::int, md5(string_agg(r::varchar, '' order by id, version)) from read_parquet([${list}]) r`,
  );
  connection.closeSync();
  instance.closeSync();
  return result.getRowsJson();
}

/** Loads of files are called after the place of the files. */
const withoutPlaces = (state: unknown, url: string): unknown =>
  JSON.parse(
    JSON.stringify(state)
      .replaceAll(url.replace(/^file:/, ''), '…')
      .replaceAll(/\b[0-9a-f]{32}\b/g, '…'),
  );

async function databaseState(database: TestDatabase, tables: readonly string[]): Promise<Record<string, unknown>> {
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
    `select load_id, pipeline, step, run, receipt - 'bytes' as receipt from _millrace.applied order by run, step, load_id`,
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

import { postgres } from '@millrace/connectors/postgres';
import { redshift } from '@millrace/connectors/redshift';
import { type S3Options, s3 } from '@millrace/connectors/s3';
import { extract, int4, int8, load, type Pipeline, pipeline, table, text, timestamptz } from '@millrace/core';
import { map, sql } from '@millrace/transforms';

/** Where a way reads and writes: plain data, since it goes to other processes. */
export interface Place {
  /** The database that is source and, where the target is one, target. */
  readonly url: string;
  /** Where files are. */
  readonly lake: S3Options & { readonly url: string };
}

/** A pipeline that is killed wherever it can be. Its second run is the one that is disturbed. */
export interface CrashWay {
  readonly name: string;
  pipeline(place: Place): Pipeline;
  /** SQL before the first run, beyond the source table; the target's tables where the pipeline does not make them. */
  readonly prepare?: readonly string[];
  /** SQL between the first and the second run, beyond new and changed rows. */
  readonly before?: readonly string[];
  /** True where files are written: their place is a part of what loads are called, so every scene is made anew. */
  readonly hasLake?: boolean;
  /** Stages of the disturbed run that are over before it is disturbed. */
  readonly over?: readonly string[];
  /** False where the disturbed run is the first one ever. */
  readonly hasEarlierRun?: boolean;
  /** Splits that are staged side by side. */
  readonly concurrency: number;
  /** Failpoints at which the run is disturbed; those of the connectors where it is left out. */
  readonly at?: RegExp;
  /** Tables whose rows are compared. */
  readonly tables: readonly string[];
}

/** 600 rows in some 20 blocks. Every change of a row has a greater `version`. */
export const source = table('source', { id: int8(), name: text(), note: text().orNull(), version: int8() }, { key: ['id'] });

/** Makes a row long enough for several splits. */
export const filler = 'x'.repeat(200);
export const makeSource = [
  'create table source (id int8 primary key, name text not null, note text, version int8 not null) with (autovacuum_enabled = off)',
  `insert into source select n, 'first ' || n || '${filler}', null, n from generate_series(1, 600) n`,
  'analyze source',
];
/** Changes every other row and adds some, all above what the first run has read. */
export const changeSource = [
  `update source set name = 'second ' || id || '${filler}', version = 1000 + id where id % 2 = 0`,
  `insert into source select n, 'second ' || n || '${filler}', 'a note', 1000 + n from generate_series(601, 700) n`,
  'analyze source',
];

/** About five splits in the first run and eight in the second; half as many where each takes DuckDB a while. */
const splitBytes = 40_000;
const fileSplitBytes = 80_000;

type TableMode = 'append' | 'merge' | 'replace' | 'history';

const columns = source.declared;
const target = table('target', columns, { key: ['id'] });
const keyless = table('target', columns);

function tableLoad(mode: TableMode, schema: 'create' | 'evolve'): CrashWay['pipeline'] {
  return ({ url }) => {
    const shop = postgres({ url });
    const rows = extract(shop, source, { splitBytes, ...(mode !== 'replace' && { since: 'version' }) });
    const loaded = load(rows, shop.table(mode === 'append' ? keyless : target, { mode, schema }));
    return pipeline({ name: 'crash', steps: { rows, loaded } });
  };
}

const tableWays: readonly CrashWay[] = [
  ...(['append', 'merge', 'replace', 'history'] as const).flatMap((mode): CrashWay[] => {
    const way = { pipeline: tableLoad(mode, 'create'), tables: ['target'] };
    return [
      { ...way, name: `${mode} into a table`, concurrency: 1, at: new RegExp(`^postgres\\.${mode}`) },
      // What the engine does is the same for all, and so is staging: their failpoints need one way.
      {
        ...way,
        name: `${mode} into a table, splits side by side`,
        concurrency: 3,
        at: mode === 'merge' ? /./ : /^postgres.*(staged|written|committed)/,
      },
    ];
  }),
  {
    name: 'the first load into a database',
    pipeline: tableLoad('merge', 'create'),
    hasEarlierRun: false,
    at: /ledger|created|fence|merge.committed/,
    concurrency: 1,
    tables: ['target'],
  },
  {
    name: 'a load that adds a column to the table',
    pipeline: tableLoad('merge', 'evolve'),
    before: ['alter table target drop column note'],
    at: /altered/,
    concurrency: 1,
    tables: ['target'],
  },
];

const rejected = table('rejected', {
  load_id: text(),
  pipeline: text(),
  step: text(),
  split: text(),
  ordinal: int8(),
  code: text(),
  reason: text(),
  row: text(),
  rejected_at: timestamptz(),
});

const quarantineWay: CrashWay = {
  name: 'rows through a function, some into a quarantine',
  pipeline: ({ url }) => {
    const shop = postgres({ url });
    const rows = extract(shop, source, { since: 'version', splitBytes });
    const quarantine = shop.table(rejected, { mode: 'append', schema: 'create' });
    const good = map(rows, {
      to: target,
      row: (row) => {
        if (row.id % 50n === 0n) throw new Error(`no ${row.id}`);
        return row;
      },
      onBadRow: { quarantine },
    });
    const loaded = load(good, shop.table(target, { mode: 'merge', schema: 'create' }));
    return pipeline({ name: 'crash', steps: { rows, good, loaded } });
  },
  at: /quarantine|append/,
  concurrency: 3,
  tables: ['target', 'rejected'],
};

const counter = table('counter', { n: int4() });

const sqlWay: CrashWay = {
  name: 'statements of SQL',
  prepare: ['create table counter (n int4 not null)', 'insert into counter values (0)'],
  pipeline: ({ url }) => {
    const counted = sql(postgres({ url }), [`update ${counter.name} set n = n + 1`, `insert into ${counter.name} values (100)`]);
    return pipeline({ name: 'crash', steps: { counted } });
  },
  at: /sql|execute/,
  concurrency: 1,
  tables: ['counter'],
};

const filesOf = ({ url, lake }: Place, mode: 'append' | 'replace') => {
  const rows = extract(postgres({ url }), source, { splitBytes: fileSplitBytes, ...(mode === 'append' && { since: 'version' }) });
  return { rows, written: load(rows, s3(lake).parquet({ prefix: 'rows/', mode })) };
};

export const fileWays: readonly CrashWay[] = (['append', 'replace'] as const).map((mode) => ({
  name: `files, ${mode}`,
  pipeline: (place) => pipeline({ name: 'crash', steps: filesOf(place, mode) }),
  hasLake: true,
  concurrency: 2,
  tables: [],
}));

const copyWays = (['append', 'merge', 'replace'] as const).map(
  (mode): CrashWay => ({
    name: `files copied into a warehouse, ${mode}`,
    pipeline: (place) => {
      const { url: _, ...store } = place.lake;
      const files = filesOf(place, mode === 'replace' ? mode : 'append');
      const to = redshift({ url: place.url, files: store }).copy(mode === 'append' ? keyless : target, { mode, schema: 'create' });
      return pipeline({ name: 'crash', steps: { ...files, copied: load(files.written, to) } });
    },
    hasLake: true,
    over: ['written'],
    at: /^redshift/,
    concurrency: 1,
    tables: ['target'],
  }),
);

export const ways: readonly CrashWay[] = [...tableWays, quarantineWay, sqlWay, ...fileWays, ...copyWays];

export function wayNamed(name: string): CrashWay {
  const way = ways.find((candidate) => candidate.name === name);
  if (way) return way;
  throw new Error(`There is no way "${name}".`);
}

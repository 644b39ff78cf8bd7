import { postgres } from '@millrace/connectors/postgres';
import { extract, load, type Pipeline, pipeline, type Step, type Table } from '@millrace/core';
import type { ErrorCode, Target } from '@millrace/core/runtime';
import { type Batch, map, mapBatches } from '@millrace/transforms';
import { expect } from 'vitest';
import type { TestDatabase } from '../postgres.ts';
import { runPipeline } from '../run-pipeline.ts';
import type { WideTables } from './wide-table.ts';

/** A way from the source table to the target table: everything between the two is what is tested. */
export interface Way {
  readonly name: string;
  /** What cannot go this way, by type and value, with the code of the refusal. */
  readonly refuses: Refusals;
  /** Throws what the pipeline throws. `directory` is empty and the way's own. */
  run(database: TestDatabase, tables: WideTables, directory: string): Promise<void>;
}

export type Refusals = Readonly<Record<string, Readonly<Record<string, ErrorCode>>>>;

/** A JavaScript array begins at index 0, which stands for Postgres's 1. */
export const arraysFromOne: Refusals = { 'int4[]': { '[0:1]={1,2}': 'VALUE_UNREPRESENTABLE' } };

export type Rows = Step<never, 'rows'>;
type Row = Readonly<Record<string, unknown>>;

/** Rows of the table. Steps are made from lists of types, so the checker cannot know their rows. */
export const rowsOf = (database: TestDatabase, table: Table): Rows => extract(postgres({ url: database.url }), table) as Rows;

export function intoTable(rows: Rows, database: TestDatabase, table: Table): Step {
  return load(rows, postgres({ url: database.url }).table(table, { mode: 'append' }) as unknown as Target<never, 'rows', 'table'>);
}

/** Steps by the numbers of their stages; what a stage's lane must be. */
export async function runs(steps: Readonly<Record<string, Step>>, lanes: readonly string[]): Promise<void> {
  const made: Pipeline = pipeline({ name: 'matrix', steps });
  const { plan } = await runPipeline(made);
  expect(plan.stages.map(({ lane, read }) => (lane === 'bytes' ? `${lane}, ${read}` : lane))).toEqual(lanes);
}

const copy = (name: string, lane: string, through: (rows: Rows, to: Table) => Rows = (rows) => rows): Way => ({
  name,
  refuses: lane.startsWith('bytes') ? {} : arraysFromOne,
  async run(database, { source, target }) {
    const rows = rowsOf(database, source);
    const last = through(rows, target);
    await runs({ rows, ...(last === rows ? {} : { last }), loaded: intoTable(last, database, target) }, [lane]);
  },
});

/** A function that hands every row on: columns keep their bytes. */
export const handedOn = (rows: Rows, to: Table): Rows => map(rows, { to, row: ((row: Row) => ({ ...row })) as never }) as Rows;

/**
 * A row of NULLs, out of the way under a negative number, before each row: so no column is the source's own, and every value is made
 * again from its JavaScript value.
 */
export const madeAnew = (rows: Rows, to: Table): Rows => {
  const none = Object.fromEntries(to.columns.map(({ name }) => [name, null]));
  const row = (values: Row): Row[] => [{ ...none, n: -1 - (values['n'] as number) }, { ...values }];
  return map(rows, { to, row: row as never }) as Rows;
};

const batchHandedOn = (rows: Rows, to: Table): Rows => mapBatches(rows, { to, batch: ((batch: Batch<Row>) => batch) as never }) as Rows;

const batchMadeAnew = (rows: Rows, to: Table): Rows => {
  const batch = (given: Batch<Row>) => given.with(Object.fromEntries(to.columns.map(({ name }) => [name, given.column(name).values()])));
  return mapBatches(rows, { to, batch: batch as never }) as Rows;
};

/** For types whose bytes mean the same on every server. */
export const binaryWay = copy('COPY BINARY, byte for byte', 'bytes, pgcopy-binary');

/** For a table in which at least one type's bytes may mean something else elsewhere. */
export const tableWays: readonly Way[] = [
  copy('COPY CSV, byte for byte', 'bytes, csv'),
  copy('batches that a function hands on', 'columns', batchHandedOn),
  copy('batches with columns made anew', 'columns', batchMadeAnew),
  copy('rows that a function hands on', 'rows', handedOn),
  copy('rows with values made anew', 'rows', madeAnew),
];

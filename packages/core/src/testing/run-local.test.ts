import { expect, expectTypeOf, it } from 'vitest';
import { extract, load, pipeline, run, type Step, step } from '../author/index.ts';
import { batchOfRows, rowsOf } from '../batch/index.ts';
import type { SqlConnection, Target, Transform } from '../connector/index.ts';
import { int4, int8, type RowOf, table, text } from '../schema/index.ts';
import { memorySelection } from './memory-source.ts';
import { memoryTable, memoryTarget } from './memory-target.ts';
import { type RunLocalOptions, runLocal } from './run-local.ts';

const orders = table('public.orders', { id: int8(), note: text(), version: int4() }, { key: ['id'] });
type Order = RowOf<typeof orders>;

const order: Order = { id: 1n, note: 'x', version: 1 };
const nowhere = memorySelection<Order>({ schema: orders, rows: () => [] });
const warehouse = { kind: 'connection', connector: 'test', label: 'warehouse', dialect: 'postgres' } as unknown as SqlConnection;

function through(input: Step<Order, 'rows'>, transform: Partial<Transform>): Step<Order, 'rows'> {
  const rest = { name: 'test', description: {}, lane: 'rows', output: () => orders } as const;
  const none: Transform['start'] = async () => ({ split: () => ({ apply: (batch) => batch }), finish: async () => [] });
  return step('rows', {
    input,
    schema: orders,
    options: {},
    work: { kind: 'transform', transform: { ...rest, start: none, ...transform }, onBadRow: 'fail' },
  });
}

const shout: Partial<Transform> = {
  start: async () => ({
    split: () => ({
      apply: (batch) =>
        batchOfRows(
          orders,
          rowsOf(batch).map((row) => ({ ...row, note: String(row['note']).toUpperCase() })),
        ),
    }),
    finish: async () => [{ check: 'loud', severity: 'warn', passed: true, found: 'all', sample: [] }],
  }),
};

const rows = extract(nowhere);
const newest = through(rows, {
  lane: 'columns',
  wholeInput: true,
  relational: { op: 'dedupe', key: ['id'], by: 'version', keep: 'greatest' },
  start: () => Promise.reject(new Error('only a source can')),
});
const facts = through(newest, shout);
const files = load(facts, memoryTarget(memoryTable(), { leaves: 'files' }) as Target<Order, 'rows', 'files'>);
const copied = load(files, memoryTarget(memoryTable(), { takes: 'files' }) as Target<Order, 'files', 'table'>);
const refreshed: Step<never, 'nothing'> = step('nothing', {
  input: null,
  schema: null,
  options: { after: [copied] },
  work: {
    kind: 'execute',
    request: {
      kind: 'call',
      connection: warehouse,
      procedure: 'refresh',
      args: [run.date, run.param('country')],
      transaction: true,
    },
  },
});
// A dedupe stands directly after the extract, where a source that runs SQL takes it over.
const source = { ...nowhere, absorbs: (op: { op: string }) => op.op === 'dedupe' };
const nightly = pipeline({
  name: 'nightly',
  params: { country: 'FR' },
  steps: { rows: rebase(rows), newest, facts, files, copied, refreshed },
});

/** The steps above read `rows`; here only its selection is another. */
function rebase(one: typeof rows): typeof rows {
  Object.defineProperty(one.work, 'selection', { value: source });
  return one;
}

it('runs the real transforms over given rows, and records loads and SQL', async () => {
  const result = await runLocal(nightly, {
    given: { rows: [order, { ...order, version: 2, note: 'y' }, { ...order, id: 2n }] },
    date: '2026-03-29',
  });
  expect(result.rows('newest')).toEqual([
    { ...order, version: 2, note: 'y' },
    { ...order, id: 2n },
  ]);
  expect(result.rows('facts').map(({ note }) => note)).toEqual(['Y', 'X']);
  expect(result.rows('files')).toEqual(result.rows('facts'));
  expect(result.rows('copied')).toEqual(result.rows('facts'));
  expect(result.executed).toEqual([
    { step: 'refreshed', kind: 'call', statements: [{ text: 'CALL refresh', values: ['2026-03-29', 'FR'] }] },
  ]);
  expect(result.checks).toMatchObject([{ check: 'loud', passed: true }]);
});

it('knows the rows of each step by its name', () => {
  expectTypeOf<RunLocalOptions<typeof nightly.steps>['given']['rows']>().toEqualTypeOf<readonly Order[] | undefined>();
});

it('wants rows for extracts only, and rows that fit', async () => {
  await expect(runLocal(nightly, { given: { facts: [order] } })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await expect(runLocal(nightly, { given: { rows: [{ ...order, id: 'one' as never }] } })).rejects.toMatchObject({ code: 'TYPE_MISMATCH' });
});

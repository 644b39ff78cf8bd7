import { describe, expect, it } from 'vitest';
import { extract, load, type Pipeline, pipeline, type Step, step } from '../author/index.ts';
import type { RelationalOp, Selection, Target, Transform, WireFormat } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import { int4, int8, numeric, type RowSchema, table, text, timestamptz } from '../schema/index.ts';
import { check, compile } from './compile.ts';
import { renderPlan, toMermaid, toSvg } from './index.ts';

const orders = table(
  'public.orders',
  { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() },
  { key: ['id'] },
);

/** A database that exists on paper only: compiling connects to nothing. */
const selection = (schema: RowSchema = orders, offers: WireFormat[] = ['pgcopy-binary', 'csv', 'batches']): Selection<never> => ({
  kind: 'selection',
  description: { connector: 'postgres', object: 'public.orders', connection: 'secret(SHOP_URL)' },
  schema,
  offers,
  absorbs: (op: RelationalOp) => op.op !== 'mask',
  open: () => Promise.reject(new Error('not opened')),
});

const target = (options: Partial<Target> = {}): Target<never, 'rows', 'table'> =>
  ({
    kind: 'target',
    takes: 'rows',
    leaves: 'table',
    description: {
      connector: 'postgres',
      object: 'shop.orders',
      connection: 'secret(MIRROR_URL)',
      mode: 'append',
      guarantee: 'exactly-once',
    },
    schema: orders,
    accepts: ['pgcopy-binary', 'csv', 'batches'],
    problems: () => [],
    ddl: () => [],
    open: () => Promise.reject(new Error('not opened')),
    ...options,
  }) as Target<never, 'rows', 'table'>;

const lake = (): Target<never, 'rows', 'files'> =>
  ({ ...target({ schema: null, accepts: ['csv', 'batches'], via: 'duckdb' }), leaves: 'files' }) as never;

function transform(name: string, options: Partial<Transform>): Transform {
  return {
    name,
    description: {},
    lane: 'rows',
    output: (input) => input,
    start: () => Promise.reject(new Error('not started')),
    ...options,
  };
}

function through(input: Step, made: Transform): Step<never, 'rows'> {
  return step('rows', { input, schema: input.schema, work: { kind: 'transform', transform: made, onBadRow: 'fail' }, options: {} });
}

const of = (steps: Record<string, Step>): Pipeline => pipeline({ name: 'test', steps });
const problemsOf = (steps: Record<string, Step>): string[] => check(of(steps)).problems.map(({ message }) => message);

describe('lanes', () => {
  it('copies bytes between two Postgres tables', () => {
    const rows = extract(selection());
    const plan = compile(of({ rows, copied: load(rows, target()) }));
    expect(plan.stages).toMatchObject([
      { id: 'copied', steps: ['rows', 'copied'], lane: 'bytes', read: 'pgcopy-binary', write: 'pgcopy-binary', needs: [] },
    ]);
  });

  it('gives files to DuckDB', () => {
    const rows = extract(selection());
    expect(compile(of({ rows, files: load(rows, lake()) })).stages).toMatchObject([{ lane: 'duckdb', read: 'csv', write: 'csv' }]);
  });

  it('names the function that forces rows', () => {
    const rows = extract(selection());
    const facts = through(rows, transform('map', {}));
    const [stage] = compile(of({ rows, facts, copied: load(facts, target()) })).stages;
    expect(stage).toMatchObject({ lane: 'rows', read: 'batches', reason: '"facts" (map) runs a function for each row' });
  });

  it('leaves to the source what its query can say, up to the first transform that it cannot', () => {
    const rows = extract(selection());
    const some = through(rows, transform('filter', { lane: 'columns', relational: { op: 'filter', where: [] } }));
    const masked = through(some, transform('mask', { lane: 'columns', relational: { op: 'mask', columns: {} } }));
    const cut = through(
      masked,
      transform('select', { lane: 'columns', relational: { op: 'select', columns: ['id', 'total', 'note', 'updated_at'] } }),
    );
    const [stage] = compile(of({ rows, some, masked, cut, copied: load(cut, target()) })).stages;
    expect(stage).toMatchObject({ lane: 'columns', absorbed: ['some'] });
  });

  it('keeps a cast whose bad rows are set aside out of the query', () => {
    const rows = extract(selection());
    const relational = { op: 'cast', columns: {} } as const;
    const input = { input: rows, schema: rows.schema, options: {} };
    const transform_ = transform('cast', { lane: 'columns', relational });
    const strict = step('rows', { ...input, work: { kind: 'transform', transform: transform_, onBadRow: 'fail' } }) as Step<never, 'rows'>;
    const lenient = step('rows', {
      ...input,
      work: { kind: 'transform', transform: transform_, onBadRow: { quarantine: lake() as never } },
    }) as Step<never, 'rows'>;
    const plan = compile(of({ rows, strict, lenient, a: load(strict, target()), b: load(lenient, target()) }));
    expect(plan.stages.map(({ absorbed, lane }) => [absorbed, lane])).toEqual([
      [['strict'], 'bytes'],
      [[], 'columns'],
    ]);
  });

  it('gives each load a stage of its own and says that the source is read twice', () => {
    const rows = extract(selection());
    const plan = compile(of({ rows, a: load(rows, target()), b: load(rows, lake()) }));
    expect(plan.stages.map(({ id }) => id)).toEqual(['a', 'b']);
    expect(plan.warnings.map(({ message }) => message)).toEqual(['"rows" is read 2 times, once for each of a, b.']);
  });

  it('lets a load of files wait for the load that leaves them', () => {
    const rows = extract(selection());
    const files = load(rows, lake());
    const copied = load(files, target({ takes: 'files' }) as never) as Step;
    const again = load(extract(selection()), target(), { after: [copied] });
    const plan = compile(of({ rows, files, copied, again, other: again.input as Step }));
    expect(plan.stages).toMatchObject([
      { id: 'files', needs: [] },
      { id: 'copied', kind: 'files', lane: 'server', needs: ['files'] },
      { id: 'again', needs: ['copied'] },
    ]);
  });
});

describe('fingerprint', () => {
  const rows = extract(selection());
  it('is the same for the same pipeline, and another when an option changes', () => {
    const one = compile(of({ rows, copied: load(rows, target()) }));
    const same = compile(of({ rows, copied: load(rows, target()) }));
    const other = compile(of({ rows, copied: load(rows, target(), { timeout: '5m' }) }));
    expect(same.fingerprint).toBe(one.fingerprint);
    expect(other.fingerprint).not.toBe(one.fingerprint);
  });

  it('covers a plan that is plain JSON', () => {
    const plan = compile(of({ rows, copied: load(rows, target()) }));
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });
});

describe('problems, all at once and each with a remedy', () => {
  const rows = extract(selection());

  it.each<[string, Record<string, Step>, string]>([
    ['an unlisted step', { copied: load(rows, target()) }, '"copied" reads a step (extract of public.orders) that is not listed.'],
    ['a step under two names', { rows, again: rows }, '"again" and "rows" are the same step.'],
    ['a name that is none', { '"; DROP TABLE x': rows }, '"\\"; DROP TABLE x" cannot be the name of a step.'],
    ['something that is no step', { rows: 5 as unknown as Step }, '"rows" is not a step.'],
    [
      'an unknown cursor column',
      { rows: extract(selection(), { since: 'nope' as never }) },
      '"rows" reads since "nope", which is not a column of public.orders.',
    ],
    [
      'a cursor column with NULLs',
      { rows: extract(selection(), { since: 'note' as never }) },
      '"rows" reads since "note", which may be NULL: such rows would never be read.',
    ],
    [
      'a duration that is none',
      { rows, copied: load(rows, target(), { timeout: '5 minutes' as never }) },
      '"copied": "5 minutes" is not a duration.',
    ],
  ])('%s', (_, steps, message) => {
    expect(problemsOf(steps)).toContain(message);
  });

  it('a cycle through after', () => {
    const after: Step[] = [];
    const a = load(rows, target(), { after });
    const b = load(rows, lake(), { after: [a] });
    after.push(b);
    expect(problemsOf({ rows, a, b })).toEqual([expect.stringMatching(/^These steps wait for each other: (a → b → a|b → a → b)\.$/)]);
  });

  it('columns that do not fit', () => {
    const narrow = table('narrow', { id: int4(), total: numeric(12, 2), note: text(), extra: text() });
    expect(problemsOf({ rows, copied: load(rows, target({ schema: narrow })) })).toEqual([
      'Column "id" would go from int8 to int4, which can lose something.',
      'Column "updated_at" has no place in the target of "copied".',
      'Column "note" may be NULL where it comes from, and may not at the target of "copied".',
      'Nothing fills column "extra" of the target of "copied", which may not be NULL.',
    ]);
  });

  it('a transform that needs all rows behind a function', () => {
    const facts = through(rows, transform('map', {}));
    const one = through(
      facts,
      transform('dedupe', { wholeInput: true, relational: { op: 'dedupe', key: ['id'], by: 'id', keep: 'greatest' } }),
    );
    expect(problemsOf({ rows, facts, one, copied: load(one, target()) })).toEqual([
      '"one" (dedupe) must see all rows at once, and only the source\'s query can do that.',
    ]);
  });

  it('are thrown by compile as one error', () => {
    const copied = load(rows, target(), { timeout: 'x' as never });
    expect(() => compile(of({ copied }))).toThrow(MillraceError);
    expect(() => compile(of({ copied }))).toThrow(/not listed[\s\S]*not a duration/);
  });
});

it('takes ten times as long for ten times the steps', () => {
  const made = (pairs: number): Record<string, Step> => {
    const steps: Record<string, Step> = {};
    let before: Step[] = [];
    for (let i = 0; i < pairs; i++) {
      const rows = extract(selection());
      const copied = load(rows, target(), { after: before });
      Object.assign(steps, { [`rows_${i}`]: rows, [`copied_${i}`]: copied });
      before = i % 10 === 0 ? [copied] : [...before, copied].slice(-10);
    }
    return steps;
  };
  // The best of five, by CPU time: the machine may be busy with other tests. What is quadratic would take a hundred times as long.
  const cost = (pairs: number): number => {
    const steps = of(made(pairs));
    const milliseconds = [1, 2, 3, 4, 5].map(() => {
      const before = process.cpuUsage();
      expect(compile(steps).stages).toHaveLength(pairs);
      return process.cpuUsage(before).user / 1000;
    });
    return Math.min(...milliseconds);
  };
  cost(500); // compiled by the engine first
  expect(cost(5000)).toBeLessThan(30 * cost(500));
});

describe('rendering', () => {
  const rows = extract(selection());
  const facts = through(rows, transform('map', { description: { row: '<script>"' } }));
  const plan = compile(of({ rows, facts, files: load(facts, lake()), copied: load(rows, target()) }));

  it('shows stages, lanes and reasons as text', () => {
    expect(renderPlan(plan)).toContain('2. files  rows lane: "facts" (map) runs a function for each row');
    expect(renderPlan(plan)).toContain('extract public.orders from secret(SHOP_URL)');
  });

  it('says what holds where it is not by a transaction of the target', () => {
    const shown = (more: object) =>
      renderPlan(compile(of({ rows, load: load(rows, target({ description: { ...target().description, ...more } })) })));
    expect(shown({})).not.toContain('once');
    expect(shown({ promise: 'in one script' })).toContain('exactly once: in one script');
    expect(shown({ guarantee: 'at-least-once' })).toMatch(/^ +at least once$/m);
  });

  it('draws Mermaid and SVG that are well-formed', () => {
    expect(toMermaid(plan)).toContain('rows --> facts');
    const svg = toSvg(plan);
    expect(svg.match(/<g>/g)).toHaveLength(4);
    expect(svg).not.toMatch(/NaN|undefined/);
  });
});

import { expect, test } from 'vitest';
import { capture, continuous, extract, load, manual, pipeline, type Step, type StepOptions, step } from '../author/index.ts';
import type { Mask, RelationalOp, Transform } from '../connector/index.ts';
import { outputColumns, secret } from '../connector/index.ts';
import { int4, int8, type RowSchema, table, text } from '../schema/index.ts';
import { memoryDatabase } from '../testing/memory-capture.ts';
import { MemoryDatabase } from '../testing/memory-database.ts';
import { memoryApply, memoryMirror } from '../testing/memory-mirror.ts';
import { memorySelection } from '../testing/memory-source.ts';
import { memoryTable, memoryTarget } from '../testing/memory-target.ts';
import { check, compile } from './compile.ts';
import { renderPlan } from './index.ts';

const orders = table('public.orders', { id: int8(), note: text().orNull() }, { key: ['id'] });
const bare = table('public.bare', { a: int4() });
const shop = memoryDatabase(new MemoryDatabase({ orders, bare }), {});
const mirror = () => memoryApply(memoryMirror());

const of = (steps: Record<string, Step>) => pipeline({ name: 'test', runs: continuous, steps });
const problemsOf = (steps: Record<string, Step>): string[] => check(of(steps)).problems.map(({ message }) => message);

function through(input: Step, byTable: Record<string, Partial<Transform>>, options: StepOptions = {}): Step {
  const transforms = Object.fromEntries(Object.entries(byTable).map(([name, parts]) => [name, transform(parts)]));
  const tables = { ...input.tables };
  for (const [name, made] of Object.entries(transforms)) tables[name] = made.output(tables[name] as RowSchema);
  return step('changes', { input, schema: null, tables, work: { kind: 'transform-changes', name: 'map', transforms }, options });
}

const transform = (parts: Partial<Transform>): Transform => ({
  name: 'map',
  description: {},
  lane: 'rows',
  output: (input) => input,
  start: () => Promise.reject(new Error('not started')),
  ...parts,
});

const relational = (op: RelationalOp): Partial<Transform> => ({
  relational: op,
  output: (input) => {
    const columns = outputColumns(op, input.columns);
    const key = input.key?.every((name) => columns.some((column) => column.name === name)) ? input.key : undefined;
    return { columns, ...(key && { key }) };
  },
});

test('a capture and all that stands behind it are one stage', () => {
  const changes = capture(shop, { tables: { orders, bare }, retry: { attempts: 9 } }) as Step;
  const masked = through(changes, { orders: relational({ op: 'mask', columns: { note: { mask: 'redact', with: 'x' } } }) });
  const first = load(changes as Step<never, 'changes'>, mirror()) as Step;
  const second = load(masked as Step<never, 'changes'>, mirror()) as Step;
  const made = of({ changes, first, masked, second });
  const plan = compile(made);
  expect(plan.stages).toMatchObject([
    { id: 'changes', kind: 'changes', steps: ['changes', 'first', 'masked', 'second'], needs: [], lane: 'columns', retry: { attempts: 9 } },
  ]);
  expect(plan.steps.map(({ name, does }) => [name, does])).toEqual([
    ['changes', 'capture public.orders, public.bare from memory'],
    ['first', 'mirror into memory at memory'],
    ['masked', 'map orders'],
    ['second', 'mirror into memory at memory'],
  ]);
  expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  expect(renderPlan(plan)).toContain('capture public.orders');
});

test('the policy of schema changes and the snapshot are part of the plan', () => {
  const plans = [{}, { snapshot: 'never' as const }, { schemaChanges: { drop: 'apply' as const } }].map((options) => {
    const changes = capture(shop, { tables: { orders }, ...options });
    return compile(of({ changes, mirrored: load(changes, mirror()) }));
  });
  expect(new Set(plans.map(({ fingerprint }) => fingerprint)).size).toBe(3);
  expect(plans[0]?.steps[0]?.description).toMatchObject({
    snapshot: 'initial',
    schemaChanges: { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' },
  });
});

test('a capture waits for what stands before it, and what stands after its loads waits for it', () => {
  const rows = extract(memorySelection({ schema: orders, rows: () => [] }));
  const loaded = load(rows as Step<never, 'rows'>, memoryTarget(memoryTable()) as never) as Step;
  const changes = capture(shop, { tables: { orders }, after: [loaded] });
  const mirrored = load(changes, mirror());
  const last = load(rows as Step<never, 'rows'>, memoryTarget(memoryTable()) as never, { after: [mirrored] }) as Step;
  const plan = compile(pipeline({ name: 'test', runs: manual, steps: { rows, loaded, changes, mirrored, last } }));
  expect(plan.stages.map(({ id, needs }) => [id, needs])).toEqual([
    ['loaded', []],
    ['changes', ['loaded']],
    ['last', ['changes']],
  ]);
});

test('a stream that nobody loads is none', () => {
  const changes = capture(shop, { tables: { orders } });
  expect(problemsOf({ changes })).toEqual(['Nothing loads the changes of "changes".']);
});

test('what only a capture can be told is not told to what stands behind it', () => {
  const changes = capture(shop, { tables: { orders } });
  const mirrored = load(changes, mirror(), { retry: { attempts: 2 } });
  const late = load(changes, mirror(), { after: [mirrored] });
  const timed = load(changes, mirror(), { timeout: '5s' });
  expect(problemsOf({ changes, mirrored, late, timed })).toEqual([
    expect.stringContaining('no "retry" of its own'),
    expect.stringContaining('no "timeout" of its own'),
    expect.stringContaining('no "after" of its own'),
  ]);
});

test('a target says what it cannot do with the columns that arrive', () => {
  const changes = capture(shop, { tables: { orders } });
  const target = { ...mirror(), problems: (tables: object) => [{ message: `no room for ${Object.keys(tables)}`, remedy: '' }] };
  expect(problemsOf({ changes, mirrored: load(changes, target) })).toEqual(['no room for orders']);
});

const hash: Mask = { mask: 'hash', salt: secret('S') };
test.for([
  ['select without the key', relational({ op: 'select', columns: ['note'] }), /takes the key of "orders" away \(id\)/],
  ['a map whose rows have no key', { output: () => ({ columns: orders.columns }) }, /takes the key of "orders" away/],
  ['a map whose key is another column', { output: () => ({ columns: orders.columns, key: ['note'] }) }, /a function sees no deletes/],
  [
    'a map whose key is of another type',
    { output: () => ({ columns: [{ name: 'id', type: { kind: 'text' }, nullable: false }], key: ['id'] }) },
    /a function sees no deletes/,
  ],
  [
    'a key that is redacted',
    relational({ op: 'mask', columns: { id: { mask: 'redact', with: 'x' } } }),
    /makes different keys of "orders" the same/,
  ],
  [
    'a key that is cut',
    relational({ op: 'mask', columns: { id: { mask: 'truncate', length: 3 } } }),
    /makes different keys of "orders" the same/,
  ],
  ['a key that is hashed', relational({ op: 'mask', columns: { id: hash } }), null],
  ['a map that hands on the key', { output: () => ({ columns: orders.columns, key: ['id'] }) }, null],
  ['a filter', {}, null],
] as const)('keys must come through: %s', ([, parts, problem]) => {
  const changes = capture(shop, { tables: { orders } }) as Step;
  const mapped = through(changes, { orders: parts as Partial<Transform> });
  const problems = problemsOf({ changes, mapped, mirrored: load(mapped as Step<never, 'changes'>, mirror()) as Step });
  expect(problems).toEqual(problem === null ? [] : [expect.stringMatching(problem)]);
});

test('a table without a key can be filtered, and no function can make other rows of its rows', () => {
  const changes = capture(shop, { tables: { bare } }) as Step;
  const filtered = through(changes, { bare: {} });
  expect(problemsOf({ changes, filtered, mirrored: load(filtered as Step<never, 'changes'>, mirror()) as Step })).toEqual([]);
  const mapped = through(changes, { bare: { output: ({ columns }) => ({ columns }) } });
  expect(problemsOf({ changes, mapped, mirrored: load(mapped as Step<never, 'changes'>, mirror()) as Step })).toEqual([
    expect.stringContaining('"bare" has no key'),
  ]);
});

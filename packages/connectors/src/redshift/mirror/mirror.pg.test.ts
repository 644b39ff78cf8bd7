import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int4, int8, table, text } from '@millrace/core';
import {
  type ChangeGroup,
  type ChangeSink,
  type Context,
  changeKinds,
  isMillraceError,
  type SchemaPolicy,
  type SinkState,
  type SinkStream,
} from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { type Change, groupOf, positionAt, streamOf } from '../../../test/hand-made.ts';
import { batches, type Row, split, testContext } from '../../../test/load.ts';
import { arbitrarySteps, grouped, historyOf } from '../../../test/random-changes.ts';
import { s3 } from '../../s3/index.ts';
import { type ApplyOptions, redshift } from '../index.ts';

const columns = { id: int8(), note: text().orNull(), total: int4() };
const tables = { orders: table('orders', columns, { key: ['id'] }), items: table('items', columns, { key: ['id'] }) };
const policy: SchemaPolicy = { add: 'apply', drop: 'apply', rename: 'apply', retype: 'apply' };
const stream: SinkStream = { owner: { pipeline: 'shop', step: 'mirrored' }, pipelineRun: 'run-1', tables, policy };

let home: string;
let database: TestDatabase;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'millrace-mirror-'));
  database = await testDatabase();
});
afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});
let made = 0;

const contextOf = (more: Partial<Context> = {}) => testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')), ...more });
const targetOf = (schema: string, options: Partial<ApplyOptions> = {}) =>
  redshift({ url: database.url }).apply({ schema, staging: s3({ url: `file:${home}/lake` }), prefix: schema, ...options });
const fence = (epoch: number, schema: string) => ({ key: `shop/${schema}`, epoch });
const of = (schema: string): SinkStream => ({ ...stream, owner: { pipeline: 'shop', step: schema } });

const rowsOf = async (schema: string, name: string, where = ''): Promise<Row[]> =>
  (await database.sql(`select * from "${schema}"."${name}" ${where} order by id`)).map((row) => ({
    ...row,
    id: BigInt(row['id'] as string),
  }));

test('whatever happens, in whatever groups and attempts, the tables are those of the source', async () => {
  const run = fc.record({
    steps: arbitrarySteps(['truncate', 'add', 'drop', 'rename'], 80),
    sizes: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 5 }),
    acts: fc.array(fc.constantFrom('go on', 'go on', 'go on', 'flush', 'die', 'be taken over'), { minLength: 1, maxLength: 8 }),
  });
  await fc.assert(
    fc.asyncProperty(run, async ({ steps, sizes, acts }) => {
      const schema = `random_${++made}`;
      const target = targetOf(schema);
      const history = historyOf(tables, ['items'], steps);
      let epoch = 0;
      let sink: ChangeSink | null = null;
      const begin = async (): Promise<SinkState> => {
        sink = await target.open(contextOf());
        return sink.begin(of(schema), fence(++epoch, schema));
      };
      await begin();
      await sink!.follow(streamOf(), positionAt(100));
      for (const name of Object.keys(tables)) await (await sink!.copy(name, 'fresh')).finish(positionAt(100));
      let left = [...history.transactions];
      for (let at = 0; left.length > 0; at++) {
        const [group] = grouped(left, [sizes[at % sizes.length]!]);
        const before = history.transactions.indexOf(group![0]!);
        await sink!.apply(groupOf(history.schemasBefore[before]!, group!));
        left = left.slice(group!.length);
        const act = acts[at % acts.length]!;
        if (act === 'flush') {
          const last = group!.at(-1)!;
          expect(await sink!.flush()).toBe(positionAt(last.at + 1));
          const state = history.states[history.transactions.indexOf(last)]!;
          for (const name of Object.keys(tables)) expect(await rowsOf(schema, name)).toEqual(state[name]);
        }
        if ((act !== 'die' && act !== 'be taken over') || epoch > 4) continue;
        const earlier = sink!;
        if (act === 'die') await earlier[Symbol.asyncDispose]();
        const { position } = await begin();
        left = history.transactions.filter((transaction) => positionAt(transaction.at) >= position!);
        if (act !== 'be taken over') continue;
        const woken = await earlier.flush().catch((error: unknown) => (error as { code: string }).code);
        expect([position, 'ATTEMPT_FENCED']).toContain(woken);
        await earlier[Symbol.asyncDispose]();
      }
      await sink!.flush();
      await sink![Symbol.asyncDispose]();
      for (const [name, rows] of Object.entries(history.states.at(-1) ?? {})) expect(await rowsOf(schema, name)).toEqual(rows);
      await database.sql(`drop schema "${schema}" cascade`);
    }),
    { numRuns: 10 },
  );
});

const code = (work: Promise<unknown>) =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (isMillraceError(error) ? error.code : String(error)),
  );
const inserted = (id: number, note: string | null = null): Change => ({
  op: 'insert',
  table: 'orders',
  row: { id: BigInt(id), note, total: id },
});

async function following(schema: string, options: Partial<ApplyOptions> = {}, context = contextOf(), by = policy): Promise<ChangeSink> {
  const sink = await targetOf(schema, options).open(context);
  await sink.begin({ ...of(schema), policy: by }, fence(1, schema));
  await sink.follow(streamOf(), positionAt(16));
  return sink;
}

test('with soft-delete, rows that are gone stay as they were last', async () => {
  const run = fc.record({
    steps: arbitrarySteps(['truncate', 'add', 'drop', 'rename'], 60),
    sizes: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(run, async ({ steps, sizes }) => {
      const schema = `soft_${++made}`;
      const history = historyOf(tables, ['items'], steps);
      const sink = await following(schema, { mode: 'soft-delete' });
      for (const group of grouped(history.transactions, sizes)) {
        await sink.apply(groupOf(history.schemasBefore[history.transactions.indexOf(group[0]!)]!, group));
        await sink.flush();
      }
      await sink[Symbol.asyncDispose]();
      const there = async (name: string, where: string) => (await rowsOf(schema, name, where)).map(({ _deleted_at: _, ...row }) => row);
      for (const name of Object.keys(tables)) {
        expect(await there(name, 'where _deleted_at is null')).toEqual(history.states.at(-1)?.[name] ?? []);
        expect(await there(name, 'where _deleted_at is not null')).toEqual(history.gone[name] ?? []);
      }
      await database.sql(`drop schema "${schema}" cascade`);
    }),
    { numRuns: 8 },
  );
});

test('first copies come as files, and changes after them by key', async () => {
  const schema = 'first';
  const sink = await targetOf(schema).open(contextOf());
  expect(await sink.begin(of(schema), fence(1, schema))).toEqual({ identity: null, position: null, copied: {}, deadLetters: 0 });
  await sink.follow(streamOf(), positionAt(16));
  const orders = await sink.copy('orders', 'fresh');
  const rows = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => ({ id: BigInt(from + at), note: at % 2 ? null : `a "note",\n${at}`, total: at }));
  await Promise.all([
    orders.stage(split(0), batches(tables.orders, rows(0, 500))),
    orders.stage(split(1), batches(tables.orders, rows(500, 500))),
  ]);
  expect(await rowsOf(schema, 'orders')).toEqual([]);
  await orders.finish(positionAt(16));
  await orders[Symbol.asyncDispose]();
  await (await sink.copy('items', 'fresh')).finish(positionAt(16));
  expect(await rowsOf(schema, 'orders')).toEqual([...rows(0, 500), ...rows(500, 500)]);
  await sink.apply(groupOf(tables, [{ at: 20, changes: [{ op: 'delete', table: 'orders', old: { id: 3n } }, inserted(5_000)] }]));
  expect(await sink.flush()).toBe(positionAt(21));
  expect(await rowsOf(schema, 'orders')).toHaveLength(1_000);
  await sink[Symbol.asyncDispose]();
  const next = await targetOf(schema).open(contextOf());
  const state = {
    identity: streamOf(),
    position: positionAt(21),
    copied: { orders: positionAt(16), items: positionAt(16) },
    deadLetters: 0,
  };
  expect(await next.begin(of(schema), fence(2, schema))).toEqual(state);
  await next.follow(streamOf('slot', 9), positionAt(30));
  await next[Symbol.asyncDispose]();
  const third = await targetOf(schema).open(contextOf());
  expect(await third.begin(of(schema), fence(3, schema))).toEqual({
    ...state,
    identity: streamOf('slot', 9),
    position: positionAt(30),
    copied: {},
  });
  await third[Symbol.asyncDispose]();
});

test('a table is copied again while the stream goes on, its columns changing meanwhile, and readers see the old one until the end', async () => {
  const run = fc.record({ steps: arbitrarySteps(['truncate', 'add', 'drop', 'rename'], 40), at: fc.nat(9), main: fc.nat(9) });
  await fc.assert(
    fc.asyncProperty(run, async ({ steps, at, main }) => {
      const { transactions, states, schemasBefore } = historyOf(tables, [], steps);
      fc.pre(transactions.length > 1);
      const schema = `again_${++made}`;
      const sink = await following(schema);
      const apply = async (from: number, to: number) => {
        for (let next = from; next < to; next++) await sink.apply(groupOf(schemasBefore[next]!, [transactions[next]!]));
      };
      const taken = Math.min(transactions.length - 1, at);
      const before = Math.min(taken, main);
      await apply(0, before);
      const copy = await sink.copy('items', 'beside', positionAt(transactions[taken]!.at));
      if (taken > 0) await copy.stage(split(0), batches(schemasBefore[taken]!['items']!, states[taken - 1]!['items']!));
      await apply(before, transactions.length);
      await sink.flush();
      // Somebody has lost a row: the copy brings it back, and what came before is seen until then.
      await database.sql(`delete from "${schema}".items where id < 3`);
      for (let next = taken; next < transactions.length; next++) {
        const changes = transactions[next]!.changes.filter((change) =>
          change.op === 'truncate' ? change.tables.includes('items') : change.table === 'items',
        );
        await copy.apply(groupOf(schemasBefore[next]!, [{ ...transactions[next]!, changes }]));
      }
      await copy.finish(positionAt(transactions.at(-1)!.at + 1));
      await copy[Symbol.asyncDispose]();
      expect(await rowsOf(schema, 'items')).toEqual(states.at(-1)!['items']);
      await sink[Symbol.asyncDispose]();
      await database.sql(`drop schema "${schema}" cascade`);
    }),
    { numRuns: 8 },
  );
});

test('a copy of before columns came, went and got the names of others ends as the table is', async () => {
  const schema = 'renamed';
  const sink = await following(schema);
  const number = (name: string) => ({ name, type: { kind: 'int4' }, nullable: true }) as const;
  const [id, , total] = tables.items.columns;
  const after = { columns: [id!, number('note'), { ...total!, name: 'sum' }, number('kept')], key: ['id'] };
  const history: readonly Change[] = [
    { op: 'insert', table: 'items', row: { id: 2n, note: 'two', total: 20 } },
    {
      op: 'schema',
      table: 'items',
      schema: after,
      changes: [
        { change: 'add', column: number('extra'), fill: '7' },
        { change: 'add', column: number('kept'), fill: '8' },
        { change: 'drop', name: 'note' },
        { change: 'rename', from: 'extra', to: 'note' },
        { change: 'rename', from: 'total', to: 'sum' },
      ],
    },
    { op: 'insert', table: 'items', row: { id: 3n, note: 3, sum: 30, kept: null } },
  ];
  const copy = await sink.copy('items', 'beside', positionAt(20));
  await copy.stage(split(0), batches(tables.items, [{ id: 1n, note: 'one', total: 10 }]));
  await sink.apply(groupOf(tables, [{ at: 20, changes: history }]));
  await sink.flush();
  await copy.apply(groupOf(tables, [{ at: 20, changes: history }]));
  await copy.finish(positionAt(21));
  expect(await rowsOf(schema, 'items')).toEqual([
    { id: 1n, note: 7, sum: 10, kept: 8 },
    { id: 2n, note: 7, sum: 20, kept: 8 },
    { id: 3n, note: 3, sum: 30, kept: null },
  ]);
  await copy[Symbol.asyncDispose]();
  await sink[Symbol.asyncDispose]();
});

test('an older attempt that wakes up can neither apply nor copy, and its files are deleted', async () => {
  const schema = 'zombie';
  const older = await following(schema);
  const copy = await older.copy('items', 'fresh');
  await copy.stage(split(0), batches(tables.items, [{ id: 7n, note: null, total: 1 }]));
  await older.apply(groupOf(tables, [{ at: 20, changes: [inserted(1)] }]));
  const files = () => readdirSync(`${home}/lake/${schema}`, { recursive: true }).filter((name) => String(name).endsWith('.gz'));
  expect(files()).toHaveLength(1);
  const newer = await targetOf(schema).open(contextOf());
  expect(await newer.begin(of(schema), fence(2, schema))).toMatchObject({ position: positionAt(16) });
  expect(files()).toHaveLength(0);
  await newer.apply(groupOf(tables, [{ at: 20, changes: [inserted(1)] }]));
  expect(await code(copy.finish(positionAt(16)))).toBe('ATTEMPT_FENCED');
  expect(await code(older.flush())).toBe('ATTEMPT_FENCED');
  expect(await newer.flush()).toBe(positionAt(21));
  expect(await rowsOf(schema, 'orders')).toHaveLength(1);
  expect(await rowsOf(schema, 'items')).toEqual([]);
  const oldest = await targetOf(schema).open(contextOf());
  expect(await code(oldest.begin(of(schema), fence(1, schema)))).toBe('ATTEMPT_FENCED');
  for (const sink of [older, newer, oldest]) await sink[Symbol.asyncDispose]();
});

test('changes go to the warehouse by time and by size', async () => {
  let now = Date.parse('2026-03-01T00:00:00Z');
  const context = contextOf({ now: () => new Date(now) });
  const sink = await following('rolls', { roll: { every: '10s', size: '64KB' } }, context);
  expect(await sink.apply(groupOf(tables, [{ at: 20, changes: [inserted(1)] }]))).toBe(positionAt(16));
  now += 10_000;
  await expect.poll(() => rowsOf('rolls', 'orders')).toHaveLength(1);
  expect(await sink.apply(groupOf(tables, [{ at: 22, changes: [inserted(2)] }]))).toBe(positionAt(21));
  expect(await sink.apply(groupOf(tables, [{ at: 24, changes: [inserted(3, 'x'.repeat(80_000))] }]))).toBe(positionAt(25));
  expect(await rowsOf('rolls', 'orders')).toHaveLength(3);
  await sink[Symbol.asyncDispose]();
});

const bytesUnder = (directory: string): number =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);

test('of a giant transaction little is on this machine at a time, and it comes as one', async () => {
  const context = contextOf();
  const sink = await following('giant', { roll: { every: '1h', size: '1MB' } }, context);
  const each = 1_000;
  let most = 0;
  const group: ChangeGroup = {
    transactions: [{ commit: positionAt(100), committedAt: '2026-01-01T00:00:00.123456Z', xid: '5', firstOrdinal: 0 }],
    size: null,
    position: () => positionAt(101),
    parts: (async function* () {
      for (let at = 0; at < 20_000; at += each) {
        most = Math.max(most, bytesUnder(context.spool));
        if (at === 10_000) expect(await rowsOf('giant', 'orders')).toEqual([]);
        const rows = Array.from({ length: each }, (_, index) => ({ id: BigInt(at + index), note: 'x'.repeat(200), total: 1 }));
        const channel = batches(tables.orders, rows, each);
        if (channel.format !== 'batches') throw new Error('batches');
        for await (const batch of channel.batches)
          yield {
            kind: 'changes',
            table: 'orders',
            kinds: new Uint8Array(each).fill(changeKinds.insert),
            ordinals: Float64Array.from({ length: each }, (_, index) => at + index),
            transactions: new Int32Array(each),
            rows: batch,
            old: null,
            before: new Uint8Array(each),
          } as const;
      }
    })(),
  };
  expect(await sink.apply(group)).toBe(positionAt(101));
  expect(most).toBeGreaterThan(500_000);
  expect(most).toBeLessThan(2_500_000);
  expect(await rowsOf('giant', 'orders')).toHaveLength(20_000);
  expect(bytesUnder(context.spool)).toBe(0);
  await sink[Symbol.asyncDispose]();
});

test('a row that is not there is inserted where all its values are known, and refused where not, with nothing of its roll applied', async () => {
  const sink = await following('missing');
  const whole: Change = { op: 'update', table: 'orders', row: { id: 1n, note: 'known', total: 1 } };
  await sink.apply(groupOf(tables, [{ at: 20, changes: [whole] }]));
  expect(await sink.flush()).toBe(positionAt(21));
  const partly: Change = { op: 'update', table: 'orders', row: { id: 2n, total: 1 }, unchanged: ['note'] };
  await sink.apply(groupOf(tables, [{ at: 22, changes: [inserted(3), partly] }]));
  expect(await code(sink.flush())).toBe('CHANGE_REFUSED');
  expect(await code(sink.apply(groupOf(tables, [{ at: 24, changes: [] }])))).toBe('CHANGE_REFUSED');
  expect(await rowsOf('missing', 'orders')).toMatchObject([{ id: 1n }]);
  await sink[Symbol.asyncDispose]();
});

test('columns change as the policy says', async () => {
  const schemaOf = (...more: { name: string; type: { kind: 'text' | 'int8' | 'int4' }; nullable: boolean }[]) => ({
    columns: [...tables.orders.columns.slice(0, 2), ...more],
    key: ['id'],
  });
  const total = { name: 'total', type: { kind: 'int4' }, nullable: false } as const;
  const wide = { ...total, type: { kind: 'int8' } } as const;
  const kind = { name: 'kind', type: { kind: 'text' }, nullable: true } as const;
  const added: Change = {
    op: 'schema',
    table: 'orders',
    schema: schemaOf(total, kind),
    changes: [{ change: 'add', column: kind, fill: "o'ld" }],
  };
  const widened: Change = {
    op: 'schema',
    table: 'orders',
    schema: schemaOf(wide, kind),
    changes: [{ change: 'retype', name: 'total', from: total, to: wide }],
  };
  const changes: Change[] = [
    inserted(1),
    added,
    { op: 'insert', table: 'orders', row: { id: 2n, note: null, total: 2, kind: 'new' } },
    widened,
    { op: 'insert', table: 'orders', row: { id: 3n, note: null, total: 3_000_000_000n, kind: null } },
  ];
  const group = () => groupOf(tables, [{ at: 20, changes }]);
  const careful: SchemaPolicy = { add: 'apply', drop: 'pause', rename: 'pause', retype: 'widen' };
  const sink = await following('columns', {}, contextOf(), careful);
  await sink.apply(group());
  await sink.flush();
  expect(await database.sql('select id, total, kind from columns.orders order by id')).toEqual([
    { id: '1', total: '1', kind: "o'ld" },
    { id: '2', total: '2', kind: 'new' },
    { id: '3', total: '3000000000', kind: null },
  ]);
  const narrowed: Change = {
    op: 'schema',
    table: 'orders',
    schema: schemaOf(total, kind),
    changes: [{ change: 'retype', name: 'total', from: wide, to: total }],
  };
  expect(await code(sink.apply(groupOf({ orders: schemaOf(wide, kind) }, [{ at: 22, changes: [narrowed] }])))).toBe('SCHEMA_CHANGED');
  const waiting = await following('waits', {}, contextOf(), { ...careful, add: 'pause' });
  expect(await code(waiting.apply(group()))).toBe('SCHEMA_CHANGED');
  const ignoring = await following('ignores', {}, contextOf(), { ...careful, add: 'ignore' });
  await ignoring.apply(group());
  await ignoring.flush();
  expect(Object.keys((await database.sql('select * from ignores.orders limit 1'))[0]!)).toEqual(['id', 'note', 'total']);
  for (const one of [sink, waiting, ignoring]) await one[Symbol.asyncDispose]();
});

test('what cannot be mirrored is told before anything is written', () => {
  const odd = table('odd', { id: int8(), __millrace_act: text() });
  const messages = targetOf('x')
    .problems({ odd, other: table('x.odd', { id: int8() }, { key: ['id'] }) })
    .map(({ message }) => message);
  expect(messages).toEqual([
    '"odd" has no key, by which changes find their rows.',
    '"__millrace_act" of "odd" is a column that Millrace keeps.',
    '"odd" and "other" would both go to "x"."odd".',
  ]);
  expect(targetOf('x', { mode: 'soft-delete' }).ddl({ orders: tables.orders })[1]).toContain('"_deleted_at" timestamptz');
});

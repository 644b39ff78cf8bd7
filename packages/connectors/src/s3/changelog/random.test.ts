import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int4, int8, table, text } from '@millrace/core';
import type { ChangeSink, SchemaPolicy, SinkState, SinkStream } from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { groupOf, positionAt, streamOf } from '../../../test/hand-made.ts';
import { batches, type Row, split, testContext } from '../../../test/load.ts';
import { arbitrarySteps, grouped, historyOf } from '../../../test/random-changes.ts';
import { readLog, stateOf } from '../../../test/read-log.ts';
import { s3 } from '../index.ts';

const columns = { id: int8(), note: text().orNull(), total: int4() };
const tables = { orders: table('orders', columns, { key: ['id'] }), items: table('items', columns, { key: ['id'] }) };
const policy: SchemaPolicy = { add: 'apply', drop: 'apply', rename: 'apply', retype: 'apply' };
const stream: SinkStream = { owner: { pipeline: 'shop', step: 'log' }, pipelineRun: 'run-1', tables, policy };

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-log-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));
let made = 0;

const plain = (rows: readonly Row[]) => rows.map((row) => ({ ...row, id: Number(row['id']) }));

/** Only the columns that all rows have: a log does not go back to rows of before a column came. */
const without = (rows: readonly Readonly<Record<string, unknown>>[]) =>
  rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith('extra'))));

test('whatever happens, in whatever groups and attempts, the log holds each change once and leaves the state of the source', async () => {
  const run = fc.record({
    steps: arbitrarySteps(['truncate', 'add', 'drop']),
    sizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 }),
    acts: fc.array(fc.constantFrom('go on', 'go on', 'go on', 'flush', 'die', 'be taken over'), { minLength: 1, maxLength: 8 }),
  });
  await fc.assert(
    fc.asyncProperty(run, async ({ steps, sizes, acts }) => {
      const url = `file:${home}/lake${++made}`;
      const target = s3({ url }).changelog({ prefix: 'log' });
      const history = historyOf(tables, ['items'], steps);
      const spool = () => testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')), memoryBudget: 256 * 1024 * 1024 });
      let epoch = 0;
      let sink: ChangeSink | null = null;
      const begin = async (): Promise<SinkState> => {
        sink = await target.open(spool());
        return sink.begin(stream, { key: 'shop/log', epoch: ++epoch });
      };
      await begin();
      await sink!.follow(streamOf(), positionAt(100));
      let left = [...history.transactions];
      for (let at = 0; left.length > 0; at++) {
        const [group] = grouped(left, [sizes[at % sizes.length]!]);
        const before = history.transactions.indexOf(group![0]!);
        await sink!.apply(groupOf(history.schemasBefore[before]!, group!));
        left = left.slice(group!.length);
        const act = acts[at % acts.length]!;
        if (act === 'flush') expect(await sink!.flush()).toBe(positionAt(group!.at(-1)!.at + 1));
        if (act !== 'die' && act !== 'be taken over') continue;
        if (epoch > 4) continue;
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
      const log = await readLog(`${url}/log`);
      const count = history.transactions.flatMap(({ changes }) => changes).filter(({ op }) => op !== 'schema').length;
      expect(Object.values(log).flat()).toHaveLength(count);
      for (const [name, rows] of Object.entries(history.states.at(-1) ?? {}))
        expect(without(stateOf(log[name] ?? []))).toEqual(without(plain(rows)));
    }),
    { numRuns: 12 },
  );
}, 120_000);

test('a table that is copied again while the stream goes on has all changes once, and the copy stands where it was made', async () => {
  const run = fc.record({ steps: arbitrarySteps(['truncate'], 40), at: fc.nat(9), lag: fc.nat(3), fresh: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(run, async ({ steps, at, lag, fresh }) => {
      const { transactions, states, schemas } = historyOf(tables, [], steps);
      fc.pre(transactions.length > 1);
      const url = `file:${home}/lake${++made}`;
      const context = testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')), memoryBudget: 256 * 1024 * 1024 });
      await using sink = await s3({ url }).changelog({ prefix: 'log' }).open(context);
      await sink.begin(stream, { key: 'shop/log', epoch: 1 });
      await sink.follow(streamOf(), positionAt(100));
      // The stream is at `main` when the snapshot is taken at `taken`, and has come to the end when the copy has caught up with it.
      const taken = Math.min(transactions.length - 1, at);
      const main = Math.max(0, taken - lag);
      const ofItems = (from: number, to: number) =>
        transactions.slice(from, to).map((transaction) => ({
          ...transaction,
          changes: transaction.changes.filter((change) =>
            change.op === 'truncate' ? change.tables.includes('items') : change.table === 'items',
          ),
        }));
      const known = (transaction: (typeof transactions)[number]) => ({
        ...transaction,
        changes: transaction.changes.filter(
          (change) => !fresh || (change.op === 'truncate' ? !change.tables.includes('items') : change.table !== 'items'),
        ),
      });
      if (!fresh) await (await sink.copy('items', 'fresh', positionAt(100))).finish(positionAt(100));
      const apply = async (from: number, to: number) => {
        if (from < to) await sink.apply(groupOf(schemas, transactions.slice(from, to).map(known)));
      };
      await apply(0, main);
      const copy = await sink.copy('items', 'beside', positionAt(transactions[taken]!.at));
      await copy.stage(split(0), batches(tables.items, taken === 0 ? [] : states[taken - 1]!['items']!));
      await apply(main, transactions.length);
      await copy.apply(groupOf(schemas, ofItems(taken, transactions.length)));
      await copy.finish(positionAt(transactions.at(-1)!.at + 1));
      await copy[Symbol.asyncDispose]();
      await sink.flush();
      const log = await readLog(`${url}/log`);
      expect(stateOf(log['items'] ?? [])).toEqual(plain(states.at(-1)!['items']!));
      const changes = (log['items'] ?? []).filter(({ _op, _xid }) => _op !== 'read' && _xid !== null);
      expect(changes).toHaveLength(ofItems(fresh ? taken : 0, transactions.length).flatMap((transaction) => transaction.changes).length);
    }),
    { numRuns: 12 },
  );
}, 120_000);

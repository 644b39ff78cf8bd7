import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int4, int8, table, text } from '@millrace/core';
import type { ChangeSink, Context, SchemaPolicy, SinkState, SinkStream } from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { groupOf, positionAt, streamOf } from '../../../test/hand-made.ts';
import { type Row, testContext } from '../../../test/load.ts';
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
    { numRuns: 25 },
  );
}, 180_000);

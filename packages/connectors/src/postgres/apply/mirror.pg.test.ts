import type { ChangeSink, Table } from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { asText } from '../../../test/encoded.ts';
import { groupOf, positionAt, streamOf } from '../../../test/hand-made.ts';
import { testContext } from '../../../test/load.ts';
import { arbitraryStep, happened, type Name, names, shown, tables } from '../../../test/random-stream.ts';
import { applyTarget } from './apply-target.ts';

const policy = { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' } as const;

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

async function stored(name: Name): Promise<string[]> {
  const columns = `id::text, ${name === 'pairs' ? 'part, ' : ''}note, doc::text, code, amount::text, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`;
  return (await db.sql(`select ${columns} from public.${name}`)).map(shown).sort();
}

describe.each(['values', 'text'] as const)('as %s', (form) => {
  test('random changes leave what they left at the source', { timeout: 60_000 }, async () => {
    await db.sql('drop schema if exists _millrace cascade; drop schema public cascade; create schema public');
    let epoch = 0;
    const begin = async (): Promise<ChangeSink> => {
      const sink = await applyTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, {}).open(testContext());
      await sink.begin({ owner: { pipeline: 'p', step: 's' }, pipelineRun: 'r', tables, policy }, { key: 'p/s', epoch: ++epoch });
      return sink;
    };
    await using sink = await begin();
    for (const name of names) await db.sql(`create unique index on public.${name} (code)`);
    await fc.assert(
      fc.asyncProperty(fc.array(arbitraryStep, { minLength: 5, maxLength: 60 }), async (steps) => {
        await db.sql(`truncate ${names.map((name) => `public.${name}`).join(', ')}`);
        await sink.follow(streamOf(), positionAt(1));
        const { groups, models } = happened(steps);
        for (const transactions of groups) {
          const group = groupOf(tables as Record<string, Table>, transactions);
          await sink.apply(form === 'text' ? asText(group) : group);
        }
        for (const name of names) expect(await stored(name)).toEqual([...models.get(name)!.values()].map(shown).sort());
      }),
      { numRuns: 60 },
    );
  });
});

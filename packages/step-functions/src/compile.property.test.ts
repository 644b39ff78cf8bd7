import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { failure, interpret, stageOf } from '../test/interpreter.ts';
import { planOf, type StageLike, settings } from '../test/plans.ts';
import { compileStateMachines } from './compile.ts';
import type { Weight } from './machine/weight.ts';

/*
 * Random graphs, compiled and executed by somebody else's interpreter. Each stage succeeds at once, after some attempts, or never; some may fail
 * without ending the run. What should happen is said here once more, from the graph alone.
 */

interface Given {
  readonly stages: readonly StageLike[];
  /** Attempts that fail, by stage; more than it has means that it fails for good. */
  readonly fails: ReadonlyMap<string, number>;
}

const attempts = 3;

const graphs = (most: number): fc.Arbitrary<Given> =>
  fc
    .array(
      fc.record({
        needs: fc.array(fc.nat(most), { maxLength: 3 }),
        continues: fc.boolean(),
        fails: fc.oneof(
          { weight: 8, arbitrary: fc.constant(0) },
          { weight: 2, arbitrary: fc.integer({ min: 1, max: 2 }) },
          { weight: 2, arbitrary: fc.constant(attempts) },
        ),
      }),
      { minLength: 1, maxLength: most },
    )
    .map((drawn) => {
      const stages = drawn.map(({ needs, continues, fails }, at) => ({
        id: `s${at}`,
        needs: at === 0 ? [] : [...new Set(needs.map((need) => `s${need % at}`))].filter((_, place) => place < 3 && needs.length > 0),
        retry: { attempts, delayMs: 1, maxDelayMs: 10 },
        // Where one that may not fail does, little more can be said than the order: keep that rare.
        onFailure: continues || fails === attempts ? ('continue' as const) : ('stop' as const),
      }));
      return { stages, fails: new Map(drawn.map(({ fails }, at) => [`s${at}`, fails])) };
    });

/** What every executor would do with it. */
function expected({ stages, fails }: Given): { readonly ran: ReadonlyMap<string, number>; readonly partial: boolean } {
  const fine = new Set<string>();
  const ran = new Map<string, number>();
  for (const { id, needs = [] } of stages) {
    if (!needs.every((need) => fine.has(need))) continue;
    const failing = fails.get(id) as number;
    ran.set(id, Math.min(failing + 1, attempts));
    if (failing < attempts) fine.add(id);
  }
  return { ran, partial: fine.size < stages.length };
}

async function executed(given: Given, most?: Weight) {
  const machines = compileStateMachines(planOf(given.stages), settings, most);
  const needs = new Map(given.stages.map(({ id, needs = [] }) => [id, needs]));
  const ran = new Map<string, number>();
  const running = new Set<string>();
  const fine = new Set<string>();
  const wrong: string[] = [];
  const { error } = await interpret(machines, async (asked) => {
    const stage = stageOf(asked);
    const tries = (ran.get(stage) ?? 0) + 1;
    ran.set(stage, tries);
    if (running.has(stage) || fine.has(stage)) wrong.push(`${stage} runs twice`);
    for (const need of needs.get(stage) ?? []) if (!fine.has(need)) wrong.push(`${stage} runs before ${need}`);
    running.add(stage);
    for (let wait = Number(stage.slice(1)) % 4; wait > 0; wait--) await turn();
    running.delete(stage);
    if (tries <= (given.fails.get(stage) ?? 0)) throw failure('States.TaskFailed');
    fine.add(stage);
    return {};
  });
  return { machines, ran, fine, wrong, error };
}

const sorted = (map: ReadonlyMap<string, number>) => [...map].sort();

test('300 random graphs run in order, each stage once, with retries, failures that are caught, and what is behind them skipped', async () => {
  await fc.assert(
    fc.asyncProperty(graphs(12), async (given) => {
      const { ran, wrong, error } = await executed(given);
      const should = expected(given);
      expect(wrong).toEqual([]);
      expect(sorted(ran)).toEqual(sorted(should.ran));
      expect(error).toBe(should.partial ? 'PARTIAL' : null);
    }),
    { numRuns: 300 },
  );
});

test('the same holds where the parts of a graph are machines of their own', async () => {
  let several = 0;
  await fc.assert(
    fc.asyncProperty(graphs(16), async (given) => {
      const { machines, ran, wrong, error } = await executed(given, { events: 90, bytes: 1_000_000 });
      if (machines.others.length > 0) several++;
      const should = expected(given);
      expect(wrong).toEqual([]);
      expect(sorted(ran)).toEqual(sorted(should.ran));
      expect(error).toBe(should.partial ? 'PARTIAL' : null);
    }),
    { numRuns: 60 },
  );
  expect(several).toBeGreaterThan(20);
});

test('a stage that may not fail ends the execution, and nothing behind it has run', async () => {
  await fc.assert(
    fc.asyncProperty(graphs(10), fc.nat(9), async (drawn, place) => {
      const { id } = drawn.stages[place % drawn.stages.length] as StageLike;
      const stages = drawn.stages.map((stage) => ({ ...stage, onFailure: 'stop' as const }));
      const { ran, fine, wrong, error } = await executed({ stages, fails: new Map([[id, attempts]]) });
      expect(wrong).toEqual([]);
      expect(error).toBe('States.TaskFailed');
      expect(ran.get(id)).toBe(attempts);
      expect(fine.has(id)).toBe(false);
    }),
    { numRuns: 50 },
  );
});

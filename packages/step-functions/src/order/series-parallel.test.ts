import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Block, seriesParallel } from './series-parallel.ts';

const stages = (needs: Readonly<Record<string, readonly string[]>>) => Object.entries(needs).map(([id, needs]) => ({ id, needs }));

/** `(a → b) | c` */
function text(block: Block | null): string {
  if (block === null) return '';
  if (block.kind === 'stage') return block.id;
  return `(${block.parts.map(text).join(block.kind === 'series' ? ' → ' : ' | ')})`;
}

test.each([
  ['one', { a: [] }, 'a'],
  ['a chain', { a: [], b: ['a'], c: ['b'] }, '(a → b → c)'],
  ['stages that nothing connects', { a: [], b: [] }, '(a | b)'],
  ['a diamond', { a: [], b: ['a'], c: ['a'], d: ['b', 'c'] }, '(a → (b | c) → d)'],
  ['chains of different length keep their freedom', { a: [], b: ['a'], c: ['b'], d: [], e: ['c', 'd'] }, '(((a → b → c) | d) → e)'],
  ['an edge that another way makes needless', { a: [], b: ['a'], c: ['a', 'b'] }, '(a → b → c)'],
  ['two diamonds', { a: [], b: ['a'], c: ['a'], d: ['b', 'c'], e: ['d'], f: ['d'] }, '(a → (b | c) → d → (e | f))'],
  ['all of these after all of those', { a: [], b: [], c: ['a', 'b'], d: ['a', 'b'] }, '((a | b) → (c | d))'],
] as const)('%s', (_, needs, wanted) => {
  const { block, barriers } = seriesParallel(stages(needs));
  expect(text(block)).toBe(wanted);
  expect(barriers).toEqual([]);
});

test('four stages in the shape of an N get one barrier, and it is told', () => {
  const { block, barriers } = seriesParallel(stages({ a: [], b: [], c: ['a'], d: ['a', 'b'] }));
  expect(text(block)).toBe('((a | b) → (c | d))');
  expect(barriers).toEqual([{ stage: 'c', waitsFor: ['b'] }]);
});

test('a barrier does not reach into what stands beside the part that needs it', () => {
  const { block, barriers } = seriesParallel(stages({ a: [], b: [], c: ['a'], d: ['a', 'b'], x: [], y: ['x'], end: ['c', 'd', 'y'] }));
  expect(text(block)).toBe('((((a | b) → (c | d)) | (x → y)) → end)');
  expect(barriers).toEqual([{ stage: 'c', waitsFor: ['b'] }]);
});

test('a chain in the place of one stage stays whole', () => {
  const { block } = seriesParallel(stages({ a1: [], a2: ['a1'], b: [], c: ['a2'], d: ['a2', 'b'] }));
  expect(text(block)).toBe('(((a1 → a2) | b) → (c | d))');
});

const graphs = fc
  .array(fc.array(fc.nat(20), { maxLength: 3 }), { minLength: 1, maxLength: 14 })
  .map((rows) => rows.map((needs, at) => ({ id: `s${at}`, needs: at === 0 ? [] : [...new Set(needs.map((need) => `s${need % at}`))] })));

test('every need is kept, every stage is there once, and what more waits is told', () => {
  fc.assert(
    fc.property(graphs, (given) => {
      const { block, barriers } = seriesParallel(given);
      const waits = new Map<string, Set<string>>(given.map(({ id }) => [id, new Set()]));
      const inside = implied(block as Block, waits);
      expect([...inside].sort()).toEqual(given.map(({ id }) => id).sort());
      const before = new Map<string, Set<string>>();
      for (const { id, needs } of given) before.set(id, new Set(needs.flatMap((need) => [need, ...(before.get(need) ?? [])])));
      const told = new Map(barriers.map(({ stage, waitsFor }) => [stage, waitsFor]));
      for (const { id } of given) {
        for (const need of before.get(id) ?? []) expect(waits.get(id)).toContain(need);
        const more = [...(waits.get(id) ?? [])].filter((one) => !before.get(id)?.has(one));
        for (const one of told.get(id) ?? []) expect(more).toContain(one);
        // Who waits for more than it needs waits for a told one, or behind a stage that does.
        const behind = [...(before.get(id) ?? [])].some((need) => told.has(need)) || [...(told.get(id) ?? [])].some((one) => told.has(one));
        if (more.length > 0) expect(told.has(id) || behind).toBe(true);
      }
    }),
    { numRuns: 200 },
  );
});

function implied(block: Block, waits: Map<string, Set<string>>): string[] {
  if (block.kind === 'stage') return [block.id];
  const parts = block.parts.map((part) => implied(part, waits));
  if (block.kind === 'series')
    for (const [at, part] of parts.entries())
      for (const stage of part) for (const one of parts.slice(0, at).flat()) waits.get(stage)?.add(one);
  return parts.flat();
}

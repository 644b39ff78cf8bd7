import { expect, test } from 'vitest';
import type { PlanStage } from './plan.ts';
import { missingPools } from './pools.ts';

const stages = [
  { id: 'copied', limits: [{ kind: 'pool', name: 'reprting', most: null }] },
  { id: 'loaded', limits: [{ kind: 'connections', name: 'shop', most: 8 }] },
  { id: 'called' },
] as unknown as PlanStage[];

test('a pool that the environment does not have is told, with those that it has', () => {
  expect(missingPools({ stages }, { reporting: 2, heavy: 1 })).toEqual([
    {
      step: 'copied',
      message: '"copied" names the pool "reprting", which the environment does not have: nothing limits it.',
      remedy: 'Add "reprting" to "pools" in millrace.config.ts, or name one that is there: reporting, heavy.',
    },
  ]);
});

test('one that it has is fine, and an environment without pools limits nothing', () => {
  expect(missingPools({ stages }, { reprting: 2 })).toEqual([]);
  expect(missingPools({ stages }, {})).toEqual([]);
});

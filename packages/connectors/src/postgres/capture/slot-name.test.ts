import fc from 'fast-check';
import { expect, test } from 'vitest';
import { slotBirth, slotName, slotPrefix } from './slot-name.ts';

test('a slot is named after its pipeline and its step, after where it began and in which attempt', () => {
  const slots = slotPrefix({ pipeline: 'shop-mirror', step: 'changes' });
  expect(slots).toBe('millrace_shop_mirror__changes');
  const birth = { origin: 0xb5c3d10n, epoch: 1_795_337_000_000_001 };
  const slot = slotName(slots, birth);
  expect(slot).toBe('millrace_shop_mirror__changes_000000000b5c3d10_0hoe6fjklq9');
  expect(slotBirth(slots, slot)).toEqual(birth);
  expect(slotPrefix({ pipeline: 'shop_mirror', step: 'shopChanges' })).toMatch(
    /^millrace_shop_mirror_[0-9a-f]{8}__shopchanges_[0-9a-f]{8}$|^millrace_shop_mirror.*_[0-9a-f]{8}$/,
  );
  expect(slotBirth(slotPrefix({ pipeline: 'shop-mirror', step: 'change' }), slot)).toBeNull();
});

test('two streams never share a name, and every name is one that Postgres takes', () => {
  const first = { origin: 0n, epoch: 0 };
  const last = { origin: 2n ** 64n - 1n, epoch: Number.MAX_SAFE_INTEGER };
  const part = fc.string({ minLength: 1, maxLength: 40, unit: fc.constantFrom('a', 'b', '_', '-', 'A', 'é', ' ') });
  fc.assert(
    fc.property(part, part, part, part, (pipeline, step, otherPipeline, otherStep) => {
      const one = slotPrefix({ pipeline, step });
      const other = slotPrefix({ pipeline: otherPipeline, step: otherStep });
      expect(slotName(one, first)).toMatch(/^[a-z0-9_]{1,63}$/);
      expect(one === other).toBe(pipeline === otherPipeline && step === otherStep);
      expect(slotBirth(other, slotName(one, last)) !== null).toBe(one === other);
    }),
    { numRuns: 500 },
  );
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { originDigits, slotName, slotPrefix } from './slot-name.ts';

test('a slot is named after its pipeline and its step, and after where it began', () => {
  const slots = slotPrefix({ pipeline: 'shop-mirror', step: 'changes' });
  expect(slots).toBe('millrace_shop_mirror__changes');
  const slot = slotName(slots, '000000000B5C3D10');
  expect(slot).toBe('millrace_shop_mirror__changes_000000000b5c3d10');
  expect(originDigits(slots, slot)).toBe('000000000B5C3D10');
  expect(slotPrefix({ pipeline: 'shop_mirror', step: 'shopChanges' })).toMatch(
    /^millrace_shop_mirror_[0-9a-f]{8}__shopchanges_[0-9a-f]{8}$|^millrace_shop_mirror.*_[0-9a-f]{8}$/,
  );
  expect(originDigits(slotPrefix({ pipeline: 'shop-mirror', step: 'change' }), slot)).toBeNull();
});

test('two streams never share a name, and every name is one that Postgres takes', () => {
  const part = fc.string({ minLength: 1, maxLength: 40, unit: fc.constantFrom('a', 'b', '_', '-', 'A', 'é', ' ') });
  fc.assert(
    fc.property(part, part, part, part, (pipeline, step, otherPipeline, otherStep) => {
      const one = slotPrefix({ pipeline, step });
      const other = slotPrefix({ pipeline: otherPipeline, step: otherStep });
      expect(slotName(one, '0'.repeat(16))).toMatch(/^[a-z0-9_]{1,63}$/);
      expect(one === other).toBe(pipeline === otherPipeline && step === otherStep);
      expect(originDigits(other, slotName(one, 'F'.repeat(16))) !== null).toBe(one === other);
    }),
    { numRuns: 500 },
  );
});

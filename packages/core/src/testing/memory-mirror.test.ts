import { test } from 'vitest';
import { changeSinkConformance } from './change-sink.ts';
import { memoryApply, memoryMirror } from './memory-mirror.ts';

for (const durableEvery of [1, 3]) {
  changeSinkConformance(
    (name, body) => test(`memory (durable every ${durableEvery}): ${name}`, body),
    async () => {
      const mirror = memoryMirror();
      return {
        target: () => memoryApply(mirror, { durableEvery: () => durableEvery, strict: false }),
        async [Symbol.asyncDispose]() {},
      };
    },
    { seeds: 25, keyless: false },
  );
}

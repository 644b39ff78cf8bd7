import { test } from 'vitest';
import { runStoreConformance } from '../testing/run-store.ts';
import { memoryStore } from './memory.ts';

runStoreConformance(test, async () => {
  const store = memoryStore();
  return { open: async () => store, async [Symbol.asyncDispose]() {} };
});

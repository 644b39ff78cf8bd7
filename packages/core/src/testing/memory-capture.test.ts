import { test } from 'vitest';
import { changeSourceConformance } from './change-source.ts';
import { memoryDatabase } from './memory-capture.ts';
import { Choices, seeded, workloadDatabase } from './workload.ts';

changeSourceConformance(
  (name, body) => test(`memory: ${name}`, body),
  async () => {
    const database = workloadDatabase();
    const shape = new Choices(seeded(9));
    const connection = memoryDatabase(database, {
      cut: () => 1 + shape.below(3),
      partRows: () => 1 + shape.below(4),
      giant: 12,
      splitRows: 2,
    });
    return {
      source: (tables) => connection.capture(tables, {}),
      commit: async (statements) => void database.commit(...statements),
      async [Symbol.asyncDispose]() {},
    };
  },
  { giantRows: 20, seeds: 30 },
);

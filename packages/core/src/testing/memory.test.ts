import { describe, test } from 'vitest';
import { int4, table, text } from '../schema/index.ts';
import { memorySelection, type Rows } from './memory-source.ts';
import { memoryTable, memoryTarget } from './memory-target.ts';
import { rowSinkConformance, type SinkRow } from './row-sink.ts';
import { rowSourceConformance } from './row-source.ts';

describe('a target in memory', () => {
  rowSinkConformance(test, async () => {
    const to = memoryTable();
    return {
      target: (mode) => memoryTarget(to, { mode }),
      read: async () => to.rows as unknown as SinkRow[],
      async [Symbol.asyncDispose]() {},
    };
  });
});

describe('a source in memory', () => {
  rowSourceConformance(test, async () => {
    const schema = table('t', { id: int4(), note: text().orNull() });
    const rowsTo = (from: number, to: number): Rows =>
      Array.from({ length: to - from }, (_, i) => ({ id: from + i, note: i % 3 === 0 ? null : `n${i}` }));
    let rows = rowsTo(0, 20);
    return {
      selection: memorySelection({ schema, rows: () => rows, splitRows: 6, batchRows: 4 }),
      rows,
      since: {
        column: 'id',
        more: async () => {
          const later = rowsTo(20, 25);
          rows = [...rows, ...later];
          return later;
        },
      },
      splitBytes: 1,
      async [Symbol.asyncDispose]() {},
    };
  });
});

import { comparer, takeRows } from '../batch/index.ts';
import type { RelationalOp, Transform } from '../connector/index.ts';
import type { RowSchema } from '../schema/index.ts';

/** `dedupe` over a batch that holds all rows: what a source does in its query where there is no source. */
export function dedupeRows(transform: Transform, op: Extract<RelationalOp, { op: 'dedupe' }>): Transform {
  const { wholeInput: _, ...rest } = transform;
  return {
    ...rest,
    async start(input: RowSchema) {
      const place = (name: string): number => input.columns.findIndex((column) => column.name === name);
      const by = place(op.by);
      const keys = op.key.map(place);
      const compare = comparer(input.columns[by]?.type ?? { kind: 'text' }) ?? (() => 0);
      const sign = op.keep === 'greatest' ? 1 : -1;
      return {
        split: () => ({
          apply(batch) {
            const best = new Map<string, number>();
            const value = (row: number): unknown => batch.vectors[by]?.get(row) ?? null;
            for (let row = 0; row < batch.rowCount; row++) {
              const key = JSON.stringify(keys.map((at) => String(batch.vectors[at]?.get(row))));
              const before = best.get(key);
              if (before === undefined || wins(value(row), value(before))) best.set(key, row);
            }
            return takeRows(batch, Int32Array.from([...best.values()].sort((a, b) => a - b)));
          },
        }),
        finish: async () => [],
      };

      /** NULL loses to everything. */
      function wins(candidate: unknown, holder: unknown): boolean {
        if (candidate === null) return false;
        return holder === null || sign * compare(candidate, holder) > 0;
      }
    },
  };
}

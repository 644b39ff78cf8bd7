import type { CaptureSource, ChangeTarget, Pipeline, Plan, RelationalOp, Selection, Step, Transform } from '@millrace/core/runtime';
import type { Reading } from './reading.ts';
import { type RowShape, shapeOf } from './row-digest.ts';

/** One table of a stream at one of its targets, and what verify needs to know to compare it with the source. */
export interface StreamCheck {
  /** Of the load. */
  readonly step: string;
  readonly capture: string;
  readonly source: CaptureSource;
  readonly target: ChangeTarget;
  readonly table: string;
  readonly reading: Reading;
  /** Null where the target keeps versions and no current rows: a change log. */
  readonly stored: Selection | null;
  readonly shape: RowShape;
  /** False for a table without a key, whose rows cannot be told apart. */
  readonly keyed: boolean;
  /** The source's names of the key columns, in the order of the shape's key; null where their values change on the way. */
  readonly sourceKey: readonly string[] | null;
}

/** Every table of every target that follows changes, or of the loads in `only`. */
export function streamChecks(pipeline: Pipeline, plan: Plan, only: readonly string[]): StreamCheck[] {
  return Object.entries(pipeline.steps).flatMap(([step, { work, input }]) => {
    if (work.kind !== 'load-changes' || (only.length > 0 && !only.includes(step)) || !input) return [];
    const capture = captureOf(input);
    const name = plan.steps.find((candidate) => pipeline.steps[candidate.name] === capture)?.name;
    if (capture?.work.kind !== 'capture' || name === undefined) return [];
    const { source } = capture.work;
    return Object.entries(input.tables ?? {}).map(([table, schema]): StreamCheck => {
      const transforms = transformsOf(input, table, pipeline);
      const { selection } = source.tables[table] as CaptureSource['tables'][string];
      const shape = shapeOf(schema, schema);
      const key = shape.key.map((place) => shape.columns[place]?.name ?? '');
      return {
        step,
        capture: name,
        source,
        target: work.target,
        table,
        reading: absorbed({ selection, absorbed: [], transforms }),
        stored: work.target.stored?.(table, schema) ?? null,
        shape,
        keyed: schema.key !== undefined,
        sourceKey: namesBefore(key, transforms),
      };
    });
  });
}

function captureOf(step: Step): Step | undefined {
  for (let one: Step | null = step; one; one = one.input) if (one.work.kind === 'capture') return one;
  return undefined;
}

type NamedTransform = Reading['transforms'][number];

/** In the order in which they are applied. */
function transformsOf(last: Step, table: string, pipeline: Pipeline): NamedTransform[] {
  const found: NamedTransform[] = [];
  for (let step: Step | null = last; step; step = step.input) {
    const { work } = step;
    if (work.kind !== 'transform-changes' || !Object.hasOwn(work.transforms, table)) continue;
    const name = Object.keys(pipeline.steps).find((candidate) => pipeline.steps[candidate] === step) ?? work.name;
    found.unshift({ name, transform: work.transforms[table] as Transform });
  }
  return found;
}

/** What the source's query can do, it does. */
function absorbed({ selection, transforms }: Reading): Reading {
  const ops: RelationalOp[] = [];
  for (const { transform } of transforms) {
    const { relational } = transform;
    if (!relational || !selection.absorbs(relational, ops)) break;
    ops.push(relational);
  }
  return { selection, absorbed: ops, transforms: transforms.slice(ops.length) };
}

/** What columns were called before the transforms; null where one has other values by then. Functions hand keys on as they are. */
function namesBefore(names: readonly string[], transforms: readonly NamedTransform[]): readonly string[] | null {
  let before = [...names];
  for (const { transform } of transforms.toReversed()) {
    const op = transform.relational;
    if (!op) continue;
    if ((op.op === 'mask' || op.op === 'cast') && before.some((name) => Object.hasOwn(op.columns, name))) return null;
    if (op.op === 'rename') {
      const old = new Map(Object.entries(op.columns).map(([from, to]) => [to, from]));
      before = before.map((name) => old.get(name) ?? name);
    }
  }
  return before;
}

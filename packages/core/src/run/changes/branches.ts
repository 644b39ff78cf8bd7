import type { Pipeline } from '../../author/index.ts';
import type { CaptureSource, ChangeTarget, SchemaPolicy, StreamTables, Transform } from '../../connector/index.ts';
import type { PlanStage } from '../../plan/index.ts';
import { notThisPipeline, stepOf } from '../chain.ts';

/** The live steps of a changes stage: a capture, and a way from it to each target. */
export interface ChangeChain {
  readonly capture: {
    readonly name: string;
    readonly source: CaptureSource;
    readonly snapshot: 'initial' | 'never';
    readonly policy: SchemaPolicy;
  };
  readonly branches: readonly Branch[];
}

export interface Branch {
  /** Of the load. */
  readonly name: string;
  readonly target: ChangeTarget;
  /** In the order in which they are applied; each has a transform for some of the tables. */
  readonly transforms: readonly TableTransforms[];
  /** Columns that arrive at the target. */
  readonly tables: StreamTables;
}

export interface TableTransforms {
  readonly name: string;
  readonly byTable: Readonly<Record<string, Transform>>;
}

export function changeChain(pipeline: Pipeline, stage: PlanStage): ChangeChain {
  const [first = ''] = stage.steps;
  const { work } = stepOf(pipeline, first);
  if (work.kind !== 'capture') throw notThisPipeline(pipeline, stage);
  const { source, snapshot, policy } = work;
  return {
    capture: { name: first, source, snapshot, policy },
    branches: stage.steps.flatMap((name) => branchTo(name, pipeline, stage) ?? []),
  };
}

function branchTo(name: string, pipeline: Pipeline, stage: PlanStage): Branch | undefined {
  const load = stepOf(pipeline, name);
  if (load.work.kind !== 'load-changes') return undefined;
  const transforms: TableTransforms[] = [];
  for (let step = load.input; step && step.work.kind !== 'capture'; step = step.input) {
    const { work } = step;
    const named = stage.steps.find((candidate) => pipeline.steps[candidate] === step);
    if (work.kind !== 'transform-changes' || named === undefined) throw notThisPipeline(pipeline, stage);
    transforms.unshift({ name: named, byTable: work.transforms });
  }
  return { name, target: load.work.target, transforms, tables: load.input?.tables ?? {} };
}

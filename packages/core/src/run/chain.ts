import type { Pipeline, Step } from '../author/index.ts';
import type { Selection, Target, Transform } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { PlanStage } from '../plan/index.ts';

/** The live steps of a rows stage, by what they do in it. */
export interface RowChain {
  readonly extract: {
    readonly name: string;
    readonly selection: Selection;
    readonly since: { column: string; lagMs: number } | null;
    readonly splitBytes: number | null;
  };
  /** Done by the source in its query. */
  readonly absorbed: readonly NamedTransform[];
  /** Done here. */
  readonly left: readonly NamedTransform[];
  readonly load: NamedLoad;
}

export interface NamedTransform {
  readonly name: string;
  readonly transform: Transform;
  readonly onBadRow: Extract<Step['work'], { kind: 'transform' }>['onBadRow'];
}

export interface NamedLoad {
  readonly name: string;
  readonly target: Target;
  readonly onBadRow: Extract<Step['work'], { kind: 'load' }>['onBadRow'];
}

/** @throws INTERNAL where the plan is not this pipeline's: the caller has compared fingerprints before */
export function rowChain(pipeline: Pipeline, stage: PlanStage): RowChain {
  const [first, ...rest] = stage.steps.map((name) => ({ name, work: stepOf(pipeline, name).work }));
  const last = rest.pop();
  if (first?.work.kind !== 'extract' || last?.work.kind !== 'load') throw notThisPipeline(pipeline, stage);
  const transforms = rest.map(({ name, work }): NamedTransform => {
    if (work.kind !== 'transform') throw notThisPipeline(pipeline, stage);
    return { name, transform: work.transform, onBadRow: work.onBadRow };
  });
  return {
    extract: { name: first.name, ...first.work },
    absorbed: transforms.filter(({ name }) => stage.absorbed.includes(name)),
    left: transforms.filter(({ name }) => !stage.absorbed.includes(name)),
    load: { name: last.name, target: last.work.target, onBadRow: last.work.onBadRow },
  };
}

export function stepOf(pipeline: Pipeline, name: string): Step {
  const step = Object.hasOwn(pipeline.steps, name) ? pipeline.steps[name] : undefined;
  if (step) return step;
  throw new MillraceError('PLAN_CHANGED', {
    message: `Pipeline "${pipeline.name}" has no step "${name}" any more.`,
    remedy: 'Start a new run; this one belongs to another version of the pipeline.',
    facts: { pipeline: pipeline.name, step: name },
  });
}

export function notThisPipeline(pipeline: Pipeline, stage: PlanStage): MillraceError {
  return new MillraceError('PLAN_CHANGED', {
    message: `The steps of stage "${stage.id}" are not those of the plan any more.`,
    remedy: 'Start a new run; this one belongs to another version of the pipeline.',
    facts: { pipeline: pipeline.name, stage: stage.id },
  });
}

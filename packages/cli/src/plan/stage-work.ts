import { MillraceError, type Pipeline, type PlanStage, type RelationalOp, type StepWork, type Transform } from '@millrace/core/runtime';

type Extract_ = Extract<StepWork, { kind: 'extract' }>;

/** The live values behind the names of a rows stage. */
export function extractOf(pipeline: Pipeline, stage: PlanStage): Extract_ {
  const work = pipeline.steps[stage.steps[0] ?? '']?.work;
  if (work?.kind === 'extract') return work;
  throw new MillraceError('INTERNAL', {
    message: `Stage "${stage.id}" does not begin with an extract.`,
    remedy: 'Please report this with the pipeline file.',
  });
}

export function transformsOf(pipeline: Pipeline, stage: PlanStage): { name: string; transform: Transform }[] {
  return stage.steps.flatMap((name) => {
    const work = pipeline.steps[name]?.work;
    return work?.kind === 'transform' ? [{ name, transform: work.transform }] : [];
  });
}

/** What the source does in its own query, in order. */
export function absorbedOps(pipeline: Pipeline, stage: PlanStage): RelationalOp[] {
  return transformsOf(pipeline, stage)
    .filter(({ name }) => stage.absorbed.includes(name))
    .flatMap(({ transform }) => transform.relational ?? []);
}

/** What is left for this process to do, in order. */
export function remainingTransforms(pipeline: Pipeline, stage: PlanStage): { name: string; transform: Transform }[] {
  return transformsOf(pipeline, stage).filter(({ name }) => !stage.absorbed.includes(name));
}

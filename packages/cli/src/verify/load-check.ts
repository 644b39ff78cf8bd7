import {
  type Checkpoint,
  type Context,
  type LoadMode,
  type Pipeline,
  type Plan,
  type PlanStage,
  type RowSchema,
  rowChain,
  type Selection,
  type Step,
  type Target,
} from '@millrace/core/runtime';
import type { Rule } from './compare.ts';
import type { Reading } from './reading.ts';
import { type RowShape, shapeOf } from './row-digest.ts';

/** One load, and what verify needs to know to compare it. */
export interface LoadCheck {
  readonly step: string;
  readonly target: Target;
  /** The rows stage that reads what arrives here, directly or through the files of an earlier load. */
  readonly stage: PlanStage;
  readonly expected: Reading;
  readonly shape: RowShape;
  readonly rule: Rule;
  /** Rows go from table to table as they are, and each has one place: the databases can compare them by checksums. */
  readonly comparableInSql: boolean;
  readonly stored: Selection | null;
}

export function loadChecks(pipeline: Pipeline, plan: Plan, only: readonly string[]): LoadCheck[] {
  return plan.steps.flatMap(({ name }) => {
    const step = pipeline.steps[name];
    if (step?.work.kind !== 'load' || (only.length > 0 && !only.includes(name))) return [];
    return [loadCheck(pipeline, plan, name, step, step.work.target)];
  });
}

function loadCheck(pipeline: Pipeline, plan: Plan, name: string, step: Step, target: Target): LoadCheck {
  const stage = rowsStage(plan, name);
  const { extract, absorbed, left } = rowChain(pipeline, stage);
  const input = step.input?.schema as RowSchema;
  return {
    step: name,
    target,
    stage,
    expected: { selection: extract.selection, absorbed: absorbed.flatMap(({ transform }) => transform.relational ?? []), transforms: left },
    shape: shapeOf(target.schema ?? input, input),
    rule: ruleOf(target.description.mode),
    comparableInSql: stage.id === name && absorbed.length + left.length === 0 && ruleOf(target.description.mode) === 'current',
    stored: target.stored?.(target.schema ?? input) ?? null,
  };
}

/** Follows files back to the load that wrote them. */
function rowsStage(plan: Plan, id: string): PlanStage {
  const stage = plan.stages.find((candidate) => candidate.id === id) as PlanStage;
  if (stage.kind === 'rows') return stage;
  return rowsStage(plan, plan.steps.find(({ name }) => name === stage.steps[0])?.input ?? stage.needs[0] ?? id);
}

function ruleOf(mode: LoadMode): Rule {
  return mode === 'append' ? 'versions' : 'current';
}

/** What the target says it has: its own checkpoint, with the window of the load that wrote its files where it has none itself. */
export async function checkpointOf(pipeline: Pipeline, check: LoadCheck, context: Context): Promise<Checkpoint | null> {
  const own = await storedCheckpoint(pipeline, check.step, context);
  if (own === null || own.window !== null || check.step === check.stage.id) return own;
  const files = await storedCheckpoint(pipeline, check.stage.id, context);
  return files && { ...own, window: files.window };
}

async function storedCheckpoint(pipeline: Pipeline, step: string, context: Context): Promise<Checkpoint | null> {
  const work = pipeline.steps[step]?.work;
  if (work?.kind !== 'load') return null;
  await using sink = await work.target.open(context);
  return await sink.checkpoint({ pipeline: pipeline.name, step });
}

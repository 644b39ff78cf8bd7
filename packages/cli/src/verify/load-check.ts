import {
  type Checkpoint,
  type Context,
  type LoadMode,
  type Pipeline,
  type Plan,
  type PlanStage,
  type PlanStep,
  type RowSchema,
  rowChain,
  type Selection,
  type Target,
} from '@millrace/core/runtime';
import type { Rule } from './compare.ts';
import type { Reading } from './reading.ts';
import { type RowShape, shapeOf } from './row-digest.ts';

/** One target, and what verify needs to know to compare it with the sources of the loads that fill it. */
export interface TargetCheck {
  readonly target: Target;
  readonly loads: readonly LoadedRows[];
  readonly shape: RowShape;
  readonly rule: Rule;
  /** Rows go from one table to another as they are, and each has one place: the databases can compare them by checksums. */
  readonly comparableInSql: boolean;
  readonly stored: Selection | null;
}

/** The rows that one load brings. */
export interface LoadedRows {
  readonly step: string;
  readonly target: Target;
  /** The rows stage that reads them, directly or for the files from which they are loaded. */
  readonly stage: PlanStage;
  readonly reading: Reading;
}

/** The targets of a pipeline, or of the loads in `only`. Loads that merge or append into one table are compared together. */
export function targetChecks(pipeline: Pipeline, plan: Plan, only: readonly string[]): TargetCheck[] {
  const groups = new Map<string, PlanStep[]>();
  for (const step of plan.steps) {
    if (step.kind !== 'load' || pipeline.steps[step.name]?.work.kind !== 'load') continue;
    const { connection, object, mode } = targetOf(pipeline, step.name).description;
    const together = mode === 'merge' || mode === 'append' ? JSON.stringify([connection, object]) : step.name;
    groups.set(together, [...(groups.get(together) ?? []), step]);
  }
  const wanted = [...groups.values()].filter((steps) => only.length === 0 || steps.some(({ name }) => only.includes(name)));
  return wanted.map((steps) => targetCheck(pipeline, plan, steps));
}

function targetCheck(pipeline: Pipeline, plan: Plan, steps: readonly PlanStep[]): TargetCheck {
  const loads = steps.map(({ name }) => loadedRows(pipeline, plan, name));
  const [first] = loads as [LoadedRows];
  const input = pipeline.steps[first.step]?.input?.schema as RowSchema;
  const rule = ruleOf(first.target.description.mode, loads.length);
  const asTheyAre = loads.every(
    ({ step, stage, reading }) => stage.id === step && reading.absorbed.length + reading.transforms.length === 0,
  );
  return {
    target: first.target,
    loads,
    shape: shapeOf(first.target.schema ?? input, input),
    rule,
    comparableInSql: asTheyAre && rule === 'current',
    stored: first.target.stored?.(first.target.schema ?? input) ?? null,
  };
}

function loadedRows(pipeline: Pipeline, plan: Plan, step: string): LoadedRows {
  const stage = rowsStage(plan, step);
  const { extract, absorbed, left } = rowChain(pipeline, stage);
  const reading = {
    selection: extract.selection,
    absorbed: absorbed.flatMap(({ transform }) => transform.relational ?? []),
    transforms: left,
  };
  return { step, target: targetOf(pipeline, step), stage, reading };
}

/** Follows files back to the load that wrote them. */
function rowsStage(plan: Plan, id: string): PlanStage {
  const stage = plan.stages.find((candidate) => candidate.id === id) as PlanStage;
  if (stage.kind === 'rows') return stage;
  return rowsStage(plan, plan.steps.find(({ name }) => name === id)?.input ?? (stage.needs[0] as string));
}

function targetOf(pipeline: Pipeline, step: string): Target {
  const work = pipeline.steps[step]?.work;
  if (work?.kind !== 'load') throw new Error(`step "${step}" is no load`);
  return work.target;
}

function ruleOf(mode: LoadMode, loads: number): Rule {
  if (mode === 'append') return 'versions';
  return loads > 1 ? 'one of several' : 'current';
}

/** What the target says it has: the load's own checkpoint, with the window of the load that wrote its files where it has none itself. */
export async function checkpointOf(pipeline: Pipeline, load: LoadedRows, context: Context): Promise<Checkpoint | null> {
  const own = await storedCheckpoint(pipeline, load.step, context);
  if (own === null || own.window !== null || load.step === load.stage.id) return own;
  const files = await storedCheckpoint(pipeline, load.stage.id, context);
  return files && { ...own, window: files.window };
}

async function storedCheckpoint(pipeline: Pipeline, step: string, context: Context): Promise<Checkpoint | null> {
  await using sink = await targetOf(pipeline, step).open(context);
  return await sink.checkpoint({ pipeline: pipeline.name, step });
}

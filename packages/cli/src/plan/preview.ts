import type { Context, Pipeline, Plan, ReadPlan, Step, Window } from '@millrace/core/runtime';
import { absorbedOps, extractOf } from './stage-work.ts';

/** What a stage would read if it ran now. */
export interface ReadPreview {
  readonly stage: string;
  readonly window: Window | null;
  readonly splits: number;
  readonly estimate: ReadPlan['estimate'];
}

/** Bytes at the source that a split holds where the extract does not say. */
const usualSplitBytes = 256 * 1024 * 1024;

/** Asks each source of the plan what would be read now, from the checkpoint that its target holds. Nothing is read. */
export async function previewReads(pipeline: Pipeline, plan: Plan, context: Context): Promise<ReadPreview[]> {
  const previews: ReadPreview[] = [];
  for (const stage of plan.stages) {
    if (stage.kind !== 'rows') continue;
    const { selection, since, splitBytes } = extractOf(pipeline, stage);
    await using source = await selection.open(context);
    const low = since ? await lastHigh(pipeline.steps[stage.id] as Step, { pipeline: plan.pipeline, step: stage.id }, context) : null;
    const read = await source.plan({
      absorbed: absorbedOps(pipeline, stage),
      since: since && { ...since, low },
      splitBytes: splitBytes ?? usualSplitBytes,
      earlier: null,
    });
    previews.push({ stage: stage.id, window: read.window, splits: read.splits.length, estimate: read.estimate });
  }
  return previews;
}

async function lastHigh(step: Step, owner: { pipeline: string; step: string }, context: Context): Promise<string | null> {
  if (step.work.kind !== 'load') return null;
  await using sink = await step.work.target.open(context);
  return (await sink.checkpoint(owner))?.window?.high ?? null;
}

import {
  type Context,
  type Finding,
  type Pipeline,
  type Plan,
  type ReadPlan,
  rowChain,
  type Target,
  type Window,
} from '@millrace/core/runtime';

/** What a stage would read if it ran now. */
export interface ReadPreview {
  readonly stage: string;
  readonly window: Window | null;
  readonly splits: number;
  readonly estimate: ReadPlan['estimate'];
}

/** What a database would do if a stage ran now. */
export interface TaskPreview {
  readonly stage: string;
  readonly findings: readonly Finding[];
}

/** Bytes at the source that a split holds where the extract does not say. */
const usualSplitBytes = 256 * 1024 * 1024;

/** Asks each source of the plan what would be read now, from the checkpoint that its target holds. Nothing is read. */
export async function previewReads(pipeline: Pipeline, plan: Plan, context: Context): Promise<ReadPreview[]> {
  const previews: ReadPreview[] = [];
  for (const stage of plan.stages) {
    if (stage.kind !== 'rows') continue;
    const { extract, absorbed, load } = rowChain(pipeline, stage);
    const { since } = extract;
    await using source = await extract.selection.open(context);
    const low = since ? await lastHigh(load.target, { pipeline: plan.pipeline, step: stage.id }, context) : null;
    const read = await source.plan({
      absorbed: absorbed.flatMap(({ transform }) => transform.relational ?? []),
      since: since && { ...since, low },
      splitBytes: extract.splitBytes ?? usualSplitBytes,
      earlier: null,
    });
    previews.push({ stage: stage.id, window: read.window, splits: read.splits.length, estimate: read.estimate });
  }
  return previews;
}

/** What tasks of a database (files of SQL, partitions, views to refresh) would do now, by stage. Nothing is changed. */
export async function previewTasks({ name, steps }: Pipeline, context: Context): Promise<TaskPreview[]> {
  const previews: TaskPreview[] = [];
  for (const [step, { work }] of Object.entries(steps)) {
    if (work.kind !== 'execute' || work.request.kind !== 'task') continue;
    const { connection, task } = work.request;
    previews.push({ stage: step, findings: await connection.tasks().preview(task, { pipeline: name, step }, context) });
  }
  return previews;
}

async function lastHigh(target: Target, owner: { pipeline: string; step: string }, context: Context): Promise<string | null> {
  await using sink = await target.open(context);
  return (await sink.checkpoint(owner))?.window?.high ?? null;
}

import { compile, followsChanges, MillraceError, type Pipeline, type Plan } from '@millrace/core/runtime';
import { findPipeline, listPipelines } from '../project/pipelines.ts';
import type { Session } from '../session.ts';

/** A pipeline of the project that follows changes. */
export interface ContinuousPipeline {
  readonly file: string;
  readonly pipeline: Pipeline;
  readonly plan: Plan;
  /** Its captures, by the names of their steps. */
  readonly captures: readonly string[];
}

/** The one that is meant; it may have no captures. @throws what finding or compiling it throws */
export async function pipelineWithPlan(session: Session, wanted: string): Promise<ContinuousPipeline> {
  const { file, pipeline } = await findPipeline(await session.project(), wanted, session.calledFrom);
  const plan = compile(pipeline);
  return { file, pipeline, plan, captures: capturesOf(plan) };
}

/** The one that is meant. @throws CONFIG_INVALID where it follows no changes, and what finding it throws */
export async function continuousPipeline(session: Session, wanted: string): Promise<ContinuousPipeline> {
  const found = await pipelineWithPlan(session, wanted);
  const { pipeline, plan } = found;
  if (followsChanges(plan)) return found;
  throw new MillraceError('CONFIG_INVALID', {
    message: `"${pipeline.name}" follows no changes: it has no capture().`,
    remedy: `"millrace runs list --pipeline ${pipeline.name}" shows its runs.`,
  });
}

/** All that are there and compile; of the others `plan` tells why not. */
export async function continuousPipelines(session: Session): Promise<ContinuousPipeline[]> {
  const found: ContinuousPipeline[] = [];
  for (const { loaded } of await listPipelines(await session.project())) {
    if (!loaded || !Object.values(loaded.pipeline.steps).some(({ work }) => work.kind === 'capture')) continue;
    const plan = compile(loaded.pipeline);
    found.push({ file: loaded.file, pipeline: loaded.pipeline, plan, captures: capturesOf(plan) });
  }
  return found;
}

const capturesOf = ({ stages }: Plan): string[] => stages.flatMap(({ id, kind }) => (kind === 'changes' ? [id] : []));

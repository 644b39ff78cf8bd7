import type { Pipeline } from '../author/index.ts';
import type { Context, FilesRef, LoadSpec } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { StageOutput } from '../state/index.ts';
import { notThisPipeline, stepOf } from './chain.ts';
import { passing } from './failpoints.ts';
import { letGo } from './let-go.ts';
import { loadId } from './load-id.ts';
import type { Meter } from './meter.ts';
import type { StageJob } from './stage-job.ts';

/**
 * Lets a target read the files that an earlier load has left. The target applies every manifest after the last one it has
 * applied, so files of a run that died before this stage are not forgotten.
 */
export async function runFiles(job: StageJob, pipeline: Pipeline, context: Context, meter: Meter): Promise<StageOutput> {
  const { stage } = job;
  const step = stepOf(pipeline, stage.id);
  if (step.work.kind !== 'load' || !step.input?.schema) throw notThisPipeline(pipeline, stage);
  const { target } = step.work;
  const schema = step.input.schema;
  const files = filesOf(job, pipeline, step.input);
  const sink = await target.open({ ...context, progress: meter.counter() });
  await using _sink = letGo(sink, 'the target', context.log);
  const load: LoadSpec = {
    id: loadId(job, stage.id, { schema, window: null, files }),
    owner: { pipeline: job.run.pipeline, step: stage.id },
    run: job.run.id,
    runAt: job.runAt,
    schema,
    window: null,
    files,
    plan: null,
    parallel: false,
    ...(job.fullRefresh && { fullRefresh: true }),
  };
  const session = await sink.begin(load, { key: `${job.run.id}/${stage.id}`, epoch: job.epoch });
  await using _session = letGo(session, 'the load', context.log);
  passing('engine.load.begun');
  const done = { kind: 'load', lane: stage.lane, splits: 1, rejected: {}, checks: [] } as const;
  if (session.applied) {
    context.log.info('an earlier attempt had committed this load', { load: load.id });
    return { ...done, receipt: session.applied, alreadyApplied: true };
  }
  meter.expect(1, { rows: files.reduce((sum, { rows }) => sum + rows, 0), bytes: null });
  meter.enter('committing');
  try {
    const receipt = await session.commit([], { window: null, loadId: load.id, manifest: (files.at(-1) as FilesRef).manifest });
    passing('engine.load.committed');
    meter.splitDone();
    return { ...done, receipt, alreadyApplied: false };
  } catch (error) {
    const reason = context.signal.aborted ? context.signal.reason : error;
    await session.abort(reason as Error).catch((failed: Error) => context.log.warn(`giving up the load failed as well: ${failed.message}`));
    throw reason;
  }
}

function filesOf(job: StageJob, pipeline: Pipeline, input: NonNullable<Pipeline['steps'][string]['input']>): FilesRef[] {
  const name = Object.entries(pipeline.steps).find(([, step]) => step === input)?.[0] ?? '';
  const files = job.files[name];
  if (files) return [files];
  throw new MillraceError('CONFIG_INVALID', {
    message: `"${job.stage.id}" reads the files of "${name}", which has left none yet.`,
    remedy: `Run the pipeline with "${name}" once: without --only, or with --from ${name}.`,
    facts: { stage: job.stage.id, input: name },
  });
}

import type { Pipeline } from '../author/index.ts';
import type { Context } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { Meter } from './meter.ts';
import { fenceOf, mayBeShared, withOpenRows } from './open-rows.ts';
import { openRoute } from './route.ts';
import type { StageJob, StagePorts } from './stage-job.ts';
import { stageForAnother } from './stage-splits.ts';

/**
 * Stages splits of an attempt at a rows stage that another worker makes, as that one has planned them and under its fence, until there are
 * none left. It commits nothing, and throws away nothing: both are the attempt's. Answers how many splits it has staged.
 */
export async function helpRows(job: StageJob, pipeline: Pipeline, ports: StagePorts, context: Context, meter: Meter): Promise<number> {
  const { plan } = job.earlier;
  const { splits } = ports;
  if (!plan || !splits) throw notShared(job);
  return withOpenRows(
    { job, pipeline, ports, context, meter },
    async ({ chain, source }) => {
      await source.describe();
      if (!source.join) throw notShared(job);
      await source.join(plan);
      return { read: plan, owner: { pipeline: job.run.pipeline, step: chain.load.name }, keptWindow: null };
    },
    async (rows) => {
      const { chain, source, sink, load } = rows;
      if (!mayBeShared(job, chain, rows.plan)) throw notShared(job);
      await using session = await sink.begin(load, fenceOf(job));
      if (session.applied) return 0;
      const route = openRoute(job.stage, source.offers(plan), chain.load.target.accepts, chain.left.length > 0);
      meter.enter('moving');
      return stageForAnother(plan.splits, { rows, session, route }, splits);
    },
  );
}

const notShared = ({ stage }: StageJob): MillraceError =>
  new MillraceError('INTERNAL', {
    message: `Stage "${stage.id}" was to be shared, and cannot be.`,
    remedy: 'Please report it. The attempt goes on without help.',
    facts: { stage: stage.id },
  });

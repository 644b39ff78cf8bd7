import type { OnBadRow } from '../author/index.ts';
import type { Context, LoadSpec, Receipt, Split } from '../connector/index.ts';
import { passing } from './failpoints.ts';
import { letGo } from './let-go.ts';
import { type RejectSpool, rejectedSchema } from './reject-spool.ts';
import { channelOf } from './route.ts';
import type { StageJob } from './stage-job.ts';

/**
 * Commits rejected rows as a load of its own under the name of the main one, before that: an attempt that dies in between leaves
 * them there, and the next one finds them applied.
 */
export async function commitRejects(job: StageJob, spools: readonly RejectSpool[], loadId: string, context: Context): Promise<void> {
  let nth = 0;
  for (const spool of spools) {
    if (spool.rule === 'fail') continue;
    const id = nth++ === 0 ? `${loadId}.rejected` : `${loadId}.rejected.${nth}`;
    if (spool.count === 0) continue;
    const receipt = await commitOne(job, spool, spool.rule.quarantine, { id, loadId }, context);
    context.log.warn(`${spool.count} rows of step "${spool.step}" are in the quarantine`, { step: spool.step, load: receipt.loadId });
  }
  passing('engine.quarantine.committed');
}

type Quarantine = Exclude<OnBadRow, 'fail'>['quarantine'];

async function commitOne(
  job: StageJob,
  spool: RejectSpool,
  target: Quarantine,
  ids: { id: string; loadId: string },
  context: Context,
): Promise<Receipt> {
  const sink = await target.open(context);
  await using _sink = letGo(sink, 'the quarantine', context.log);
  const load: LoadSpec = {
    id: ids.id,
    // Not the step's own name: the checkpoint of a load step must stay its own.
    owner: { pipeline: job.run.pipeline, step: `${spool.step}.rejected` },
    run: job.run.id,
    runAt: job.runAt,
    schema: rejectedSchema,
    window: null,
    files: [],
    plan: null,
    parallel: false,
  };
  const session = await sink.begin(load, { key: `${job.run.id}/${job.stage.id}/${spool.step}.rejected`, epoch: job.epoch });
  await using _session = letGo(session, 'the quarantine', context.log);
  if (session.applied) return session.applied;
  try {
    const split: Split = { id: 'rejected', estimate: { rows: spool.count, bytes: null }, where: {} };
    const format = target.accepts.includes('batches') ? 'batches' : 'csv';
    const batches = { format: 'batches', schema: rejectedSchema, batches: spool.batches(ids.loadId) } as const;
    const part = await session.stage(split, channelOf(batches, format));
    return await session.commit([part], { window: null, loadId: ids.id });
  } catch (error) {
    await session.abort(error as Error).catch(() => {}); // the first error says more
    throw error;
  }
}

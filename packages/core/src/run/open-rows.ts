import type { Pipeline } from '../author/index.ts';
import type { Context, LoadSpec, RowSource, Sink } from '../connector/index.ts';
import { type RowChain, rowChain } from './chain.ts';
import { letGo } from './let-go.ts';
import { loadId } from './load-id.ts';
import { manyListeners } from './many-listeners.ts';
import type { Meter } from './meter.ts';
import type { StageReadPlan } from './read-plan.ts';
import { RejectSpool } from './reject-spool.ts';
import { sideBySideWidth } from './splits.ts';
import type { StageJob, StagePorts } from './stage-job.ts';
import { type RunningTransforms, startTransforms } from './transforms.ts';

/** What an attempt at a rows stage works with, and so does whoever helps it: both ends, and what is between them. */
export interface OpenRows {
  readonly chain: RowChain;
  readonly source: RowSource;
  readonly sink: Sink;
  readonly plan: StageReadPlan;
  /** By step: where its bad rows wait for the commit. */
  readonly spools: ReadonlyMap<string, RejectSpool>;
  /** Of the rows that the target refuses. */
  readonly rejecting: RejectSpool;
  readonly transforms: RunningTransforms;
  /** Splits side by side in this process. */
  readonly width: number;
  readonly load: LoadSpec;
  readonly context: Context;
  readonly meter: Meter;
  readonly ports: StagePorts;
  /** Breaks off what is on its way. */
  stop(reason: unknown): void;
}

/** Opens both ends, reads `plan` of them, lets `work` do with them what it likes, and closes them. */
export async function withOpenRows<T>(
  setting: {
    readonly job: StageJob;
    readonly pipeline: Pipeline;
    readonly ports: StagePorts;
    readonly context: Context;
    readonly meter: Meter;
  },
  plan: (ends: Pick<OpenRows, 'chain' | 'source' | 'sink'>) => Promise<StageReadPlan>,
  work: (rows: OpenRows) => Promise<T>,
): Promise<T> {
  const { job, pipeline, ports, meter } = setting;
  const chain = rowChain(pipeline, job.stage);
  const stop = new AbortController();
  const context: Context = { ...setting.context, signal: manyListeners(AbortSignal.any([setting.context.signal, stop.signal])) };
  const sink = await chain.load.target.open({ ...context, progress: meter.counter() });
  await using _sink = letGo(sink, 'the target', context.log);
  const source = await chain.extract.selection.open({ ...context, progress: meter.counter() });
  await using _source = letGo(source, 'the source', context.log);
  const planned = await plan({ chain, source, sink });
  const spools = new Map(
    [...chain.left, chain.load].map(({ name, onBadRow }) => [
      name,
      new RejectSpool({ step: name, rule: onBadRow, pipeline: pipeline.name, directory: ports.spool, now: ports.now }),
    ]),
  );
  const rejecting = spools.get(chain.load.name) as RejectSpool;
  const transforms = await startTransforms(chain.left, planned.read.schema, { ...context, progress: meter.counter() }, spools);
  const width = job.stage.whole ? 1 : sideBySideWidth(planned.read.splits.length, job.concurrency, job.memoryBudget);
  const load: LoadSpec = {
    id: loadId(job, chain.load.name, { schema: transforms.output, window: planned.read.window, files: [] }),
    owner: planned.owner,
    run: job.run.id,
    runAt: job.runAt,
    schema: transforms.output,
    window: planned.read.window,
    files: [],
    plan: planned.read,
    parallel: width > 1 || mayBeShared(job, chain, planned),
    ...(job.fullRefresh && { fullRefresh: true }),
    ...(rejecting.rule !== 'fail' && { reject: rejecting.reject }),
  };
  return await work({
    chain,
    source,
    sink,
    plan: planned,
    spools,
    rejecting,
    transforms,
    width,
    load,
    context,
    meter,
    ports,
    stop: (reason) => stop.abort(reason),
  });
}

/**
 * Whether other workers may stage splits of this load: there are more than one, the source can be read from elsewhere, and nothing needs
 * all rows in one place (a check, bad rows that are set aside, an input that cannot be split).
 */
export function mayBeShared({ shared, stage }: StageJob, { left, load }: RowChain, { read }: StageReadPlan): boolean {
  if (!shared || stage.whole || read.shared === undefined || read.splits.length < 2) return false;
  return [...left, load].every(({ onBadRow }) => onBadRow === 'fail') && left.every(({ transform }) => !transform.concludes);
}

/** The fence of this attempt: who helps it stages under the same. */
export const fenceOf = ({ run, stage, epoch }: StageJob) => ({ key: `${run.id}/${stage.id}`, epoch });

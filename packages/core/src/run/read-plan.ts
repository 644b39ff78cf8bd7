import type { LoadOwner, ReadPlan, RowSource, Sink, Window } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { RowChain } from './chain.ts';
import { passing } from './failpoints.ts';
import type { StageJob, StagePorts } from './stage-job.ts';

/** About what one file, one COPY and one worker should have to do. */
const defaultSplitBytes = 256 * 1024 * 1024;

export interface StageReadPlan {
  readonly read: ReadPlan;
  readonly owner: LoadOwner;
  /** The window that stays at the target where this load has none of its own. */
  readonly keptWindow: Window | null;
}

/** Fixes what this attempt reads, from where the last load has left off, and stores it before anything is read. */
export async function readPlan(job: StageJob, chain: RowChain, source: RowSource, sink: Sink, ports: StagePorts): Promise<StageReadPlan> {
  const { extract, load } = chain;
  const owner = { pipeline: job.run.pipeline, step: load.name };
  await source.describe();
  const { plan: earlier } = job.earlier;
  const since = extract.since;
  const last = since ? ((await sink.checkpoint(owner))?.window ?? null) : null;
  const read = await source.plan({
    absorbed: chain.absorbed.flatMap(({ transform }) => transform.relational ?? []),
    // An earlier attempt has fixed the beginning; it may even have committed, and moved the checkpoint.
    since: since && { ...since, low: earlier?.window ? earlier.window.low : job.fullRefresh ? null : lowOf(last, since.column, owner) },
    splitBytes: extract.splitBytes ?? defaultSplitBytes,
    earlier,
  });
  passing('engine.plan.made');
  await ports.storePlan(read);
  passing('engine.plan.stored');
  return { read, owner, keptWindow: since ? last : null };
}

function lowOf(last: Window | null, column: string, owner: LoadOwner): string | null {
  if (last === null || last.column === column) return last?.high ?? null;
  throw new MillraceError('UNSUPPORTED', {
    message: `"${owner.step}" has been loaded since "${last.column}" so far, and now reads since "${column}".`,
    remedy: 'Load everything once more with --full-refresh, or give the step another name.',
    facts: { ...owner, was: last.column, is: column },
  });
}

import type { Pipeline } from '../author/index.ts';
import type { CheckResult, Context, LoadSession, LoadSpec, Receipt, RowSource, Split, StagedPart } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { StageOutput } from '../state/index.ts';
import { rowChain } from './chain.ts';
import { gate } from './checks.ts';
import { passing } from './failpoints.ts';
import { letGo } from './let-go.ts';
import { loadId } from './load-id.ts';
import { manyListeners } from './many-listeners.ts';
import type { Meter } from './meter.ts';
import { commitRejects } from './quarantine.ts';
import { readPlan } from './read-plan.ts';
import { RejectSpool } from './reject-spool.ts';
import { batchesOf, channelOf, type OpenRoute, openRoute } from './route.ts';
import { sideBySide, sideBySideWidth } from './splits.ts';
import type { StageJob, StagePorts } from './stage-job.ts';
import { type RunningTransforms, startTransforms } from './transforms.ts';

/**
 * Moves rows from a source through transforms into a target: opens both ends, fixes what will be read, stages the splits side by
 * side, checks, sets bad rows aside, commits. Until the commit nothing of it can be seen at the target; after it all of it.
 */
export async function runRows(job: StageJob, pipeline: Pipeline, ports: StagePorts, context: Context, meter: Meter): Promise<StageOutput> {
  const chain = rowChain(pipeline, job.stage);
  const stop = new AbortController();
  const inner: Context = { ...context, signal: manyListeners(AbortSignal.any([context.signal, stop.signal])) };
  const sink = await chain.load.target.open({ ...inner, progress: meter.counter() });
  await using _sink = letGo(sink, 'the target', context.log);
  const source = await chain.extract.selection.open({ ...inner, progress: meter.counter() });
  await using _source = letGo(source, 'the source', context.log);
  const plan = await readPlan(job, chain, source, sink, ports);
  const spools = new Map(
    [...chain.left, chain.load].map(({ name, onBadRow }) => [
      name,
      new RejectSpool({ step: name, rule: onBadRow, pipeline: pipeline.name, directory: ports.spool, now: ports.now }),
    ]),
  );
  const transforms = await startTransforms(chain.left, plan.read.schema, { ...inner, progress: meter.counter() }, spools);
  const width = job.stage.whole ? 1 : sideBySideWidth(plan.read.splits.length, job.concurrency, job.memoryBudget);
  const rejecting = spools.get(chain.load.name) as RejectSpool;
  const load: LoadSpec = {
    id: loadId(job, chain.load.name, { schema: transforms.output, window: plan.read.window, files: [] }),
    owner: plan.owner,
    run: job.run.id,
    runAt: job.runAt,
    schema: transforms.output,
    window: plan.read.window,
    files: [],
    plan: plan.read,
    parallel: width > 1,
    ...(job.fullRefresh && { fullRefresh: true }),
    ...(rejecting.rule !== 'fail' && { reject: rejecting.reject }),
  };
  const session = await sink.begin(load, { key: `${job.run.id}/${job.stage.id}`, epoch: job.epoch });
  await using _session = letGo(session, 'the load', context.log);
  passing('engine.load.begun');
  const output = (receipt: Receipt, checks: readonly CheckResult[], alreadyApplied: boolean): StageOutput => ({
    kind: 'load',
    receipt,
    alreadyApplied,
    lane: job.stage.lane,
    splits: plan.read.splits.length,
    rejected: Object.fromEntries([...spools].flatMap(([step, { count }]) => (count > 0 ? [[step, count]] : []))),
    checks,
  });
  if (session.applied) {
    context.log.info('an earlier attempt had committed this load', { load: load.id });
    return output(session.applied, [], true);
  }

  try {
    const route = openRoute(
      job.stage,
      source.offers(plan.read),
      chain.load.target.accepts,
      chain.left.length > 0 || rejecting.rule !== 'fail',
    );
    if (route.note) context.log.info(route.note);
    meter.enter('moving');
    meter.expect(plan.read.splits.length, plan.read.estimate);
    const moving: Moving = { source, session, route, transforms, inner, ports, meter };
    const parts = await recoveredParts(
      job,
      plan.read.continuesEarlier && chain.left.length === 0 && rejecting.rule === 'fail',
      session,
      moving,
    );
    const missing = plan.read.splits.filter((split) => !parts.has(split.id));
    await sideBySide(
      missing,
      width,
      async (split) => void parts.set(split.id, await moveSplit(split, moving)),
      (error) => stop.abort(error),
    );
    passing('engine.splits.done');

    meter.enter('checking');
    rejecting.seen = rowsOf(parts) + rejecting.count;
    const checks = await transforms.finish();
    gate(job.stage.id, checks, context.log);
    for (const spool of spools.values()) spool.checkRate();
    context.signal.throwIfAborted();
    meter.enter('committing');
    await commitRejects(job, [...spools.values()], load.id, context);
    context.signal.throwIfAborted();
    const inOrder = plan.read.splits.map((split) => parts.get(split.id) as StagedPart);
    const receipt = await session.commit(inOrder, { window: plan.read.window ?? plan.keptWindow, loadId: load.id });
    passing('engine.load.committed');
    return output(receipt, checks, false);
  } catch (error) {
    const reason = context.signal.aborted ? context.signal.reason : error;
    await giveUp(job, { reason, spools: [...spools.values()], load, session, ports, context });
    throw reason;
  }
}

interface Moving {
  readonly source: RowSource;
  readonly session: LoadSession;
  readonly route: OpenRoute;
  readonly transforms: RunningTransforms;
  readonly inner: Context;
  readonly ports: StagePorts;
  readonly meter: Meter;
}

async function moveSplit(split: Split, { source, session, route, transforms, inner, ports, meter }: Moving): Promise<StagedPart> {
  inner.signal.throwIfAborted();
  const channel = await source.open(split, route.read);
  const asIs = route.read === route.write && route.read !== 'batches';
  const part = await session.stage(split, asIs ? channel : channelOf(transforms.through(split.id, batchesOf(channel)), route.write));
  passing('engine.split.staged');
  await ports.storePart(part);
  passing('engine.part.stored');
  meter.splitDone();
  return part;
}

/** Parts that an earlier attempt has staged and that are still whole. Only where nothing here has to see every row. */
async function recoveredParts(
  job: StageJob,
  possible: boolean,
  session: LoadSession,
  { meter, inner }: Moving,
): Promise<Map<string, StagedPart>> {
  if (!possible || !session.recover || job.earlier.parts.length === 0) return new Map();
  const parts = await session.recover(job.earlier.parts);
  for (const _ of parts) meter.splitDone();
  if (parts.length > 0)
    inner.log.info(`${parts.length} of ${job.earlier.parts.length} splits were staged by an earlier attempt and are used`, {});
  return new Map(parts.map((part) => [part.split, part]));
}

const rowsOf = (parts: ReadonlyMap<string, StagedPart>): number => [...parts.values()].reduce((sum, { rows }) => sum + rows, 0);

interface GivingUp {
  readonly reason: unknown;
  readonly spools: readonly RejectSpool[];
  readonly load: LoadSpec;
  readonly session: LoadSession;
  readonly ports: StagePorts;
  readonly context: Context;
}

/** Throws away what was staged. What goes wrong meanwhile is logged: the reason says more. */
async function giveUp(job: StageJob, { reason, spools, load, session, ports, context }: GivingUp): Promise<void> {
  const attempt = async (what: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      context.log.warn(`${what} failed as well: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  // People want to look at what was too much.
  if (reason instanceof MillraceError && reason.code === 'TOO_MANY_BAD_ROWS') {
    await attempt('writing the rejected rows to the quarantine', () => commitRejects(job, spools, load.id, context));
  }
  // Given back: the next attempt begins where this one was.
  if (reason instanceof MillraceError && reason.code === 'SHUTDOWN' && session.recover) return;
  await attempt('forgetting the staged parts', () => ports.forgetParts());
  await attempt('throwing away what was staged', () => session.abort(reason instanceof Error ? reason : new Error(String(reason))));
}

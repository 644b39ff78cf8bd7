import type { Pipeline } from '../author/index.ts';
import type { CheckResult, Context, LoadSession, LoadSpec, Receipt, StagedPart } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { StageOutput } from '../state/index.ts';
import { gate } from './checks.ts';
import { passing } from './failpoints.ts';
import { letGo } from './let-go.ts';
import type { Meter } from './meter.ts';
import { fenceOf, mayBeShared, type OpenRows, withOpenRows } from './open-rows.ts';
import { commitRejects } from './quarantine.ts';
import { readPlan } from './read-plan.ts';
import type { RejectSpool } from './reject-spool.ts';
import { openRoute } from './route.ts';
import type { StageJob, StagePorts } from './stage-job.ts';
import { type Moving, stageAlone, stageWithOthers } from './stage-splits.ts';

/**
 * Moves rows from a source through transforms into a target: opens both ends, fixes what will be read, stages the splits side by
 * side, with others where they may help, checks, sets bad rows aside, commits. Until the commit nothing of it can be seen at the target;
 * after it all of it.
 */
export function runRows(job: StageJob, pipeline: Pipeline, ports: StagePorts, context: Context, meter: Meter): Promise<StageOutput> {
  return withOpenRows(
    { job, pipeline, ports, context, meter },
    ({ chain, source, sink }) => readPlan(job, chain, source, sink, ports),
    (rows) => moveRows(job, context, rows),
  );
}

async function moveRows(job: StageJob, outer: Context, rows: OpenRows): Promise<StageOutput> {
  const { chain, source, sink, plan, spools, rejecting, transforms, load, context, meter, ports } = rows;
  const { splits } = plan.read;
  const session = await sink.begin(load, fenceOf(job));
  await using _session = letGo(session, 'the load', context.log);
  passing('engine.load.begun');
  const output = (receipt: Receipt, checks: readonly CheckResult[], alreadyApplied: boolean): StageOutput => ({
    kind: 'load',
    receipt,
    alreadyApplied,
    lane: job.stage.lane,
    splits: splits.length,
    rejected: Object.fromEntries([...spools].flatMap(([step, { count }]) => (count > 0 ? [[step, count]] : []))),
    checks,
  });
  if (session.applied) {
    context.log.info('an earlier attempt had committed this load', { load: load.id });
    return output(session.applied, [], true);
  }

  try {
    const seeRows = chain.left.length > 0 || rejecting.rule !== 'fail';
    const route = openRoute(job.stage, source.offers(plan.read), chain.load.target.accepts, seeRows);
    if (route.note) context.log.info(route.note);
    meter.enter('moving');
    meter.expect(splits.length, plan.read.estimate);
    const parts = await recoveredParts(job, plan.read.continuesEarlier && !seeRows, session, rows);
    const missing = splits.filter((split) => !parts.has(split.id));
    const moving: Moving = { rows, session, route };
    const together = session.shared && missing.length > rows.width && mayBeShared(job, chain, plan) ? ports.splits : undefined;
    const staged = together ? await stageWithOthers(missing, moving, together) : await stageAlone(missing, moving);
    for (const part of staged) parts.set(part.split, part);
    passing('engine.splits.done');

    meter.enter('checking');
    rejecting.seen = rowsOf(parts) + rejecting.count;
    const checks = await transforms.finish();
    gate(job.stage.id, checks, context.log);
    for (const spool of spools.values()) spool.checkRate();
    outer.signal.throwIfAborted();
    meter.enter('committing');
    await commitRejects(job, [...spools.values()], load.id, outer);
    outer.signal.throwIfAborted();
    const inOrder = splits.map((split) => parts.get(split.id) as StagedPart);
    const receipt = await session.commit(inOrder, { window: plan.read.window ?? plan.keptWindow, loadId: load.id });
    passing('engine.load.committed');
    return output(receipt, checks, false);
  } catch (error) {
    const reason = outer.signal.aborted ? outer.signal.reason : error;
    await giveUp(job, { reason, spools: [...spools.values()], load, session, ports, context: outer });
    throw reason;
  }
}

/** Parts that an earlier attempt has staged and that are still whole. Only where nothing here has to see every row. */
async function recoveredParts(
  job: StageJob,
  possible: boolean,
  session: LoadSession,
  { meter, context }: OpenRows,
): Promise<Map<string, StagedPart>> {
  if (!possible || !session.recover || job.earlier.parts.length === 0) return new Map();
  const parts = await session.recover(job.earlier.parts);
  for (const _ of parts) meter.splitDone();
  if (parts.length > 0)
    context.log.info(`${parts.length} of ${job.earlier.parts.length} splits were staged by an earlier attempt and are used`, {});
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

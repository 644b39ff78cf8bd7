import type { Pipeline } from '../../author/index.ts';
import type { Context, StreamName } from '../../connector/index.ts';
import { MillraceError } from '../../error/index.ts';
import type { StageOutput } from '../../state/index.ts';
import { passing } from '../failpoints.ts';
import { Held } from '../held.ts';
import { letGo } from '../let-go.ts';
import { manyListeners } from '../many-listeners.ts';
import type { Meter } from '../meter.ts';
import type { StageJob, StagePorts } from '../stage-job.ts';
import { begin } from './begin.ts';
import { type Branch, type ChangeChain, changeChain } from './branches.ts';
import { follow } from './follow.ts';
import type { Following } from './following.ts';
import { StreamMeter } from './progress.ts';
import type { ResyncSetting } from './resync.ts';
import { ChangeTransforms } from './transform.ts';

/**
 * Follows a stream: takes the sinks over, asks them and the source where they are, copies the tables that are missing, and then
 * applies group after group to all sinks, until it is stopped or (`until: 'caught-up'`) has all that was there when it began.
 *
 * The source forgets what the slowest sink has made durable, and nothing else. A crash anywhere in here costs time only: all that
 * counts is at the sinks.
 */
export async function runChanges(
  job: StageJob,
  pipeline: Pipeline,
  ports: StagePorts,
  context: Context,
  meter: Meter,
): Promise<StageOutput> {
  const chain = changeChain(pipeline, job.stage);
  const stop = new AbortController();
  // Until the stream flows there is nothing to bring to a good end.
  const early = (): void => stop.abort(ports.ending?.reason);
  if (ports.ending?.aborted) early();
  ports.ending?.addEventListener('abort', early, { once: true });
  const inner: Context = { ...context, signal: manyListeners(AbortSignal.any([context.signal, stop.signal])), progress: meter.counter() };
  const tables = Object.keys(chain.capture.source.tables);
  const streamMeter = new StreamMeter(meter, context.now, chain.capture.source.description.connection, tables);
  await using held = new Held();

  const followers: Following[] = [];
  for (const branch of chain.branches) followers.push(await takeOver(branch, job, chain, inner, held, streamMeter));
  const name: StreamName = { pipeline: pipeline.name, step: chain.capture.name };
  await preflight(chain, name, inner);
  const source = await chain.capture.source.open(inner, name, epochOf(job));
  held.hold(letGo(source, 'the stream', context.log));
  passing('engine.load.begun');

  const setting: ResyncSetting = {
    context: inner,
    declared: sourceTables(chain),
    pipeline: pipeline.name,
    concurrency: job.concurrency,
    memoryBudget: job.memoryBudget,
    meter: streamMeter,
  };
  try {
    meter.enter('copying');
    await begin({ job, chain, followers, source, ports, setting });
    ports.ending?.removeEventListener('abort', early);
    for (const table of tables) streamMeter.table(table, { at: 'catching-up' });
    meter.enter('streaming');
    await follow({
      job,
      followers,
      source,
      ports,
      context: inner,
      meter: streamMeter,
      setting,
      tables,
      stop: (reason) => stop.abort(reason),
    });
    return { kind: 'changes', stream: streamMeter.progress, checks: [] };
  } catch (error) {
    stop.abort(error);
    throw context.signal.aborted ? context.signal.reason : error;
  }
}

async function takeOver(
  branch: Branch,
  job: StageJob,
  chain: ChangeChain,
  context: Context,
  held: Held,
  meter: StreamMeter,
): Promise<Following> {
  const sink = await branch.target.open(context);
  held.hold(letGo(sink, branch.name, context.log));
  const { pipeline } = job.run;
  const fence = { key: `${pipeline}/${branch.name}`, epoch: epochOf(job) };
  const state = await sink.begin(
    { owner: { pipeline, step: branch.name }, pipelineRun: job.run.id, tables: branch.tables, policy: chain.capture.policy },
    fence,
  );
  meter.sink(branch.name, branch.target.description.object, state.position, state.deadLetters);
  return {
    branch,
    sink,
    transforms: new ChangeTransforms(branch.transforms, sourceTables(chain), context),
    state,
    position: state.position,
    durable: state.position,
    copied: new Map(Object.entries(state.copied)),
  };
}

/** Later runs fence off earlier ones, and within a run later attempts: milliseconds leave room for a thousand of them. */
const epochOf = (job: StageJob): number => Date.parse(job.runAt) * 1000 + job.epoch;

const sourceTables = ({ capture }: ChangeChain): Branch['tables'] =>
  Object.fromEntries(Object.entries(capture.source.tables).map(([table, { schema }]) => [table, schema]));

/** What would go wrong later is told now, all at once. */
async function preflight({ capture }: ChangeChain, name: StreamName, context: Context): Promise<void> {
  const findings = await capture.source.examine(context, name);
  for (const { level, subject, message, remedy } of findings)
    if (level === 'warning') context.log.warn(`${subject}: ${message}${remedy ? ` ${remedy}` : ''}`);
  const problems = findings.filter(({ level }) => level === 'problem');
  if (problems.length === 0) return;
  // Nothing was found out: that is another error than what was found, and may pass.
  for (const { error } of problems) if (error) throw error;
  const [first] = problems as [(typeof problems)[0], ...typeof problems];
  throw new MillraceError('CAPTURE_IMPOSSIBLE', {
    message: `The changes of ${capture.source.description.connection} cannot be captured:\n${problems.map(({ subject, message, remedy }) => `  - ${subject}: ${message}${remedy ? ` ${remedy}` : ''}`).join('\n')}`,
    remedy:
      problems.length === 1
        ? (first.remedy ?? 'Mend it and start again.')
        : 'Mend each of them; "millrace doctor --fix" does what is safe.',
    facts: { problems },
  });
}

import type { Pipeline } from '../../author/index.ts';
import {
  type ChangeGroup,
  type ChangePart,
  type ChangeSink,
  type ChangeSource,
  type Context,
  earliest,
  type Position,
  type SinkState,
  type StagedPart,
  type StreamIdentity,
  type StreamName,
  type TableSnapshot,
} from '../../connector/index.ts';
import { MillraceError } from '../../error/index.ts';
import type { StageOutput } from '../../state/index.ts';
import { passing } from '../failpoints.ts';
import { Held } from '../held.ts';
import { letGo } from '../let-go.ts';
import { manyListeners } from '../many-listeners.ts';
import type { Meter } from '../meter.ts';
import type { StageJob, StagePorts } from '../stage-job.ts';
import { type Branch, type ChangeChain, changeChain } from './branches.ts';
import { type CopySetting, type CopyWork, copyTables } from './copy.ts';
import { every } from './every.ts';
import { StreamMeter } from './progress.ts';
import { Requests } from './requests.ts';
import type { ResyncSetting } from './resync.ts';
import { beginOf } from './start.ts';
import { tee } from './tee.ts';
import { ChangeTransforms } from './transform.ts';
import { trim } from './trim.ts';

/** Milliseconds between two looks at the slot. */
const healthEvery = 5_000;

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
  const source = await chain.capture.source.open(inner, name);
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
    await begin(job, chain, followers, source, ports, setting);
    ports.ending?.removeEventListener('abort', early);
    for (const table of tables) streamMeter.table(table, { at: 'catching-up' });
    meter.enter('streaming');
    await follow({ job, followers, source, ports, context: inner, meter: streamMeter, setting, tables, stop: (reason) => stop.abort(reason) });
    return { kind: 'changes', stream: streamMeter.progress, checks: [] };
  } catch (error) {
    stop.abort(error);
    throw context.signal.aborted ? context.signal.reason : error;
  }
}

/** A sink, and where it is. */
interface Following {
  readonly branch: Branch;
  readonly sink: ChangeSink;
  readonly transforms: ChangeTransforms;
  state: SinkState;
  /** Everything before it has been applied. */
  position: Position | null;
  /** Everything before it is durable. */
  durable: Position | null;
  readonly copied: Map<string, Position>;
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
  // Later runs fence off earlier ones, and within a run later attempts: milliseconds leave room for a thousand of them.
  const fence = { key: `${pipeline}/${branch.name}`, epoch: Date.parse(job.runAt) * 1000 + job.epoch };
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

const sourceTables = ({ capture }: ChangeChain): Branch['tables'] =>
  Object.fromEntries(Object.entries(capture.source.tables).map(([table, { schema }]) => [table, schema]));

/** What would go wrong later is told now, all at once. */
async function preflight({ capture }: ChangeChain, name: StreamName, context: Context): Promise<void> {
  const findings = await capture.source.examine(context, name);
  for (const { level, subject, message, remedy } of findings)
    if (level === 'warning') context.log.warn(`${subject}: ${message}${remedy ? ` ${remedy}` : ''}`);
  const problems = findings.filter(({ level }) => level === 'problem');
  if (problems.length === 0) return;
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

/** Finds or makes the stream, and copies what is missing. Afterwards every sink has a place in it. */
async function begin(
  job: StageJob,
  chain: ChangeChain,
  followers: readonly Following[],
  source: ChangeSource,
  ports: StagePorts,
  setting: CopySetting,
): Promise<void> {
  const { pipeline } = job.run;
  const tables = Object.keys(chain.capture.source.tables);
  const refreshed = refreshOf(job);
  const anew = job.fullRefresh && !refreshed;
  const status = anew ? null : await source.stream();
  const start = anew
    ? ({ kind: 'new' } as const)
    : beginOf(
        pipeline,
        followers.map(({ branch, state }) => ({ name: branch.name, state })),
        status,
      );
  const copies = chain.capture.snapshot === 'initial' || job.fullRefresh;
  if (start.kind === 'new') {
    const { identity, snapshot } = await source.create();
    await using _snapshot = letGo(snapshot, 'the snapshot', setting.context.log);
    passing('engine.stream.created');
    setting.meter.slot(identity.slot);
    const before = new Map(followers.map((following) => [following, new Set(following.copied.keys())]));
    for (const following of followers) await join(following, identity, snapshot.position);
    if (job.fullRefresh) await ports.storePart(refreshPart(followers.map((one) => [one.branch.name, before.get(one) as Set<string>])));
    if (!copies) return;
    // Readers may rely on what an earlier stream has left.
    const works = followers.flatMap((following): CopyWork[] => {
      const there = before.get(following) as Set<string>;
      const work = (how: CopyWork['how'], which: readonly string[]): CopyWork[] =>
        which.length > 0 ? [{ branch: following.branch, sink: following.sink, tables: which, how }] : [];
      return [
        ...work(
          'fresh',
          tables.filter((table) => !there.has(table)),
        ),
        ...work(
          'beside',
          tables.filter((table) => there.has(table)),
        ),
      ];
    });
    await firstCopies(snapshot, works, setting);
    for (const { copied } of followers) for (const table of tables) copied.set(table, snapshot.position);
    return;
  }
  const { identity } = status as NonNullable<typeof status>;
  setting.meter.slot(identity.slot);
  const missingOf = ({ copied }: Following): string[] => (copies ? tables.filter((table) => !copied.has(table)) : []);
  const joining = followers.filter(({ branch }) => start.joining.includes(branch.name));
  const missing = [...new Set(followers.flatMap(missingOf))];
  if (missing.length === 0 && joining.length === 0) return;
  await using snapshot = await source.snapshot(missing.length > 0 ? missing : tables);
  for (const following of joining) await join(following, identity, snapshot.position);
  const works = followers.flatMap((following): CopyWork[] => {
    const { branch, sink } = following;
    const own = missingOf(following);
    const reliedOn = (table: string): boolean => refreshed?.[branch.name]?.includes(table) ?? false;
    return [
      { branch, sink, tables: own.filter((table) => !reliedOn(table)), how: 'fresh' },
      { branch, sink, tables: own.filter(reliedOn), how: 'beside' },
    ];
  });
  await firstCopies(
    snapshot,
    works.filter((work) => work.tables.length > 0),
    setting,
  );
  for (const following of followers) for (const table of missingOf(following)) following.copied.set(table, snapshot.position);
}

/** A run asked for everything anew begins anew once, and not with each of its attempts: the note of it, with the tables readers relied on. */
const refreshSplit = 'full-refresh';

function refreshPart(reliedOn: readonly (readonly [string, ReadonlySet<string>])[]): StagedPart {
  const tables = Object.fromEntries(reliedOn.map(([sink, names]) => [sink, [...names]]));
  return { split: refreshSplit, rows: 0, bytes: 0, detail: { tables } };
}

function refreshOf({ earlier }: StageJob): Readonly<Record<string, readonly string[]>> | undefined {
  const part = earlier.parts.find(({ split }) => split === refreshSplit);
  return part?.detail['tables'] as Readonly<Record<string, readonly string[]>> | undefined;
}

/** Each table is complete on its own: after a crash only the others are copied again, from a later snapshot. */
async function firstCopies(snapshot: TableSnapshot, works: readonly CopyWork[], setting: CopySetting): Promise<void> {
  await using held = new Held();
  await copyTables(snapshot, works, setting, held, async ({ copy }) => {
    await copy.finish(snapshot.position);
    passing('engine.stream.table-copied');
  });
}

async function join(following: Following, identity: StreamIdentity, position: Position): Promise<void> {
  await following.sink.follow(identity, position);
  passing('engine.stream.followed');
  following.position = position;
  following.durable = position;
  following.copied.clear();
}

interface Stream {
  readonly job: StageJob;
  readonly followers: readonly Following[];
  readonly source: ChangeSource;
  readonly ports: StagePorts;
  readonly context: Context;
  readonly meter: StreamMeter;
  readonly setting: ResyncSetting;
  readonly tables: readonly string[];
  stop(reason: unknown): void;
}

async function follow(stream: Stream): Promise<void> {
  const { job, followers, source, ports, context, meter, setting, tables } = stream;
  const after = earliest(followers.map(({ position }) => position as Position));
  // What is there now: with that the tables have caught up.
  const end = (await source.stream())?.end ?? after;
  const until = job.until === 'caught-up' ? end : undefined;
  const requests = new Requests(ports, source, followers, { position: after, committedAt: null }, setting);
  await using _requests = letGo(requests, 'what was asked of the stream', context.log);
  using _health = every(healthEvery, 'looking at the slot', async () => meter.health(await source.health()), context);
  const signal = ports.ending ? manyListeners(AbortSignal.any([context.signal, ports.ending])) : context.signal;
  let reached = after;
  try {
    const ready = once(() => {
      for (const table of tables) if (meter.stateOf(table)?.at === 'catching-up') meter.table(table, { at: 'ready' });
    });
    if (reached >= end) ready();
    for await (const group of until && reached >= until ? [] : source.read(after, { signal, ...(until && { until }) })) {
      await apply(group, stream);
      const durable = earliest(followers.map((following) => following.durable as Position));
      source.release(durable);
      passing('engine.stream.released');
      reached = group.position();
      if (reached >= end) ready();
      await requests.between({ position: reached, committedAt: group.transactions.at(-1)?.committedAt ?? null });
    }
    if (!signal.aborted && (until === undefined || reached < until)) throw endedEarly(reached);
  } catch (error) {
    // Whatever else is under way need not be waited for.
    stream.stop(error);
    throw error;
  }
  context.signal.throwIfAborted();
  for (const following of followers) following.durable = await following.sink.flush();
  source.release(earliest(followers.map((following) => following.durable as Position)));
  ports.ending?.throwIfAborted();
  for (const table of tables) meter.table(table, { at: 'ready' });
}

const endedEarly = (reached: Position): MillraceError =>
  new MillraceError('CONNECTION_FAILED', {
    message: `The stream ended at ${reached}, and nobody had asked it to.`,
    remedy: 'It is read again from there.',
    facts: { reached },
  });

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

/** One group to all sinks, each without what it has already. When one fails the others are let to end, and the stage ends. */
async function apply(group: ChangeGroup, { followers, meter, context }: Stream): Promise<void> {
  const last = group.transactions.at(-1);
  const lacking = followers.filter(({ position }) => last !== undefined && last.commit >= (position as Position));
  const counted = { rows: 0 };
  const parts = whole(group, context, counted);
  if (lacking.length === 0) for await (const _ of parts) continue;
  const readers = tee(parts, lacking.length);
  await settled(
    lacking.map(async (following, place) => {
      const reader = readers[place] as (typeof readers)[number];
      const own: ChangeGroup = { transactions: group.transactions, size: group.size, position: () => group.position(), parts: reader };
      try {
        const fresh = trim(own, { position: following.position as Position, copied: following.copied });
        await applyTo(following, following.transforms.through(fresh), meter);
      } finally {
        // A sink that fails does not read the group to its end.
        reader.leave();
      }
    }),
  );
  passing('engine.stream.applied');
  // The others have its changes; only a position that is news to them matters. A sink ahead of the others must not be set back.
  const position = group.position();
  const moved = followers.filter((following) => (following.position as Position) < position);
  await settled(moved.map((following) => applyTo(following, nothingUpTo(position), meter)));
  context.signal.throwIfAborted();
  meter.applied(group.transactions.length, counted.rows, last?.committedAt ?? null);
}

async function applyTo(following: Following, group: ChangeGroup, meter: StreamMeter): Promise<void> {
  following.durable = await following.sink.apply(group);
  following.position = group.position();
  meter.reached(following.branch.name, following.durable);
}

async function settled(work: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason;
}

/** Counts what goes by. A source that was broken off must not look like the end of a group, or half of a transaction would be committed. */
async function* whole(
  group: ChangeGroup,
  { signal, progress }: Context,
  counted: { rows: number },
): AsyncGenerator<ChangePart, void, undefined> {
  for await (const part of group.parts) {
    const rows = part.kind === 'changes' ? part.kinds.length : 0;
    counted.rows += rows;
    progress({ rows });
    yield part;
  }
  signal.throwIfAborted();
  group.position(); // throws where it has not come to its end
}

async function* noParts(): AsyncGenerator<ChangePart, void, undefined> {}

const nothingUpTo = (position: Position): ChangeGroup => ({
  transactions: [],
  parts: noParts(),
  size: { rows: 0, bytes: 0 },
  position: () => position,
});

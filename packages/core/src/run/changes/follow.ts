import { type ChangeGroup, type ChangePart, type ChangeSource, type Context, earliest, type Position } from '../../connector/index.ts';
import { MillraceError } from '../../error/index.ts';
import { passing } from '../failpoints.ts';
import { letGo } from '../let-go.ts';
import { manyListeners } from '../many-listeners.ts';
import type { StageJob, StagePorts } from '../stage-job.ts';
import { every } from './every.ts';
import { Feed } from './feed.ts';
import type { Following } from './following.ts';
import type { StreamMeter } from './progress.ts';
import { Requests } from './requests.ts';
import type { ResyncSetting } from './resync.ts';

/** Milliseconds between two looks at the slot. */
const healthEvery = 5_000;

export interface Stream {
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

/** Applies group after group to all sinks, until it is told to stop or has all that was there when it began. */
export async function follow(stream: Stream): Promise<void> {
  const { job, followers, source, ports, context, meter, setting, tables } = stream;
  const after = earliest(followers.map(({ position }) => position as Position));
  // What is there now: with that the tables have caught up.
  const end = (await source.stream())?.end ?? after;
  const until = job.until === 'caught-up' ? end : undefined;
  const requests = new Requests(ports, source, followers, { position: after, committedAt: null }, setting);
  await using _requests = letGo(requests, 'what was asked of the stream', context.log);
  using _health = every(healthEvery, 'looking at the slot', async () => meter.health(await source.health()), context);
  const signal = ports.ending ? manyListeners(AbortSignal.any([context.signal, ports.ending])) : context.signal;
  const feed = new Feed(followers, context);
  let reached = after;
  try {
    const ready = once(() => {
      for (const table of tables) if (meter.stateOf(table)?.at === 'catching-up') meter.table(table, { at: 'ready' });
    });
    if (reached >= end) ready();
    for await (const group of until && reached >= until
      ? []
      : source.read(after, { signal, copied: oldestCopies(followers), ...(until && { until }) })) {
      await apply(group, feed, stream);
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
  for (const following of followers) {
    following.durable = await following.sink.flush();
    meter.reached(following.branch.name, following.durable);
  }
  source.release(earliest(followers.map((following) => following.durable as Position)));
  ports.ending?.throwIfAborted();
  for (const table of tables) meter.table(table, { at: 'ready' });
}

/** Of the tables that every sink has a copy of. */
export function oldestCopies(followers: readonly Pick<Following, 'copied'>[]): Map<string, Position> {
  const [first, ...others] = followers.map(({ copied }) => copied);
  return new Map(
    [...(first ?? [])].flatMap(([table, position]) => {
      const positions = [position, ...others.flatMap((copied) => copied.get(table) ?? [])];
      return positions.length === followers.length ? [[table, earliest(positions)] as const] : [];
    }),
  );
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

/** One group to all sinks. When one fails the others are let to end, and the stage ends. */
async function apply(group: ChangeGroup, feed: Feed, { followers, meter, context }: Stream): Promise<void> {
  const { shares, counted } = await feed.of(group);
  await settled(
    shares.map(async (share) => {
      try {
        await applyTo(share.following, share.group, meter);
      } finally {
        share.leave();
      }
    }),
  );
  passing('engine.stream.applied');
  // The others have its changes; only a position that is news to them matters. A sink ahead of the others must not be set back.
  const position = group.position();
  const moved = followers.filter((following) => (following.position as Position) < position);
  await settled(moved.map((following) => applyTo(following, nothingUpTo(position), meter)));
  context.signal.throwIfAborted();
  meter.applied(group.transactions.length, counted.rows, group.transactions.at(-1)?.committedAt ?? null);
}

async function applyTo(following: Following, group: ChangeGroup, meter: StreamMeter): Promise<void> {
  following.durable = await following.sink.apply(group);
  following.position = group.position();
  meter.reached(following.branch.name, following.durable);
}

async function settled(work: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason;
}

async function* noParts(): AsyncGenerator<ChangePart, void, undefined> {}

const nothingUpTo = (position: Position): ChangeGroup => ({
  transactions: [],
  parts: noParts(),
  size: { rows: 0, bytes: 0 },
  position: () => position,
});

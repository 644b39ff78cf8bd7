import type { ChangeGroup, ChangeSource, Position, StreamTables } from '../../connector/index.ts';
import { MillraceError } from '../../error/index.ts';
import type { StreamRequest } from '../../state/index.ts';
import { Held } from '../held.ts';
import { type CopySetting, type CopyWork, copyTables, type StagedCopy } from './copy.ts';
import type { Copied, Place } from './requests.ts';
import { tee } from './tee.ts';
import { ChangeTransforms } from './transform.ts';
import { before } from './trim.ts';

/** Milliseconds by which a copy may be behind the stream when that begins to wait for it. */
const nearlyThere = 2_000;

export interface ResyncSetting extends CopySetting {
  /** The columns of each table at the source, as the pipeline file has them. */
  readonly declared: StreamTables;
}

export interface ResyncEnds {
  readonly stop: AbortSignal;
  /** Where the stream is now. */
  place(): Place;
}

/**
 * Tables that are copied again, beside those that readers see, while the stream goes on. When a copy has nearly caught up it waits until
 * the stream has come to where it is, or further; then the stream waits in turn, between two groups, until the copy is at the very same
 * position and takes over. So no reader ever sees the table ahead of the others or behind them.
 *
 * Both move only when something comes. So each nudges the other where it begins to wait for it; where that fails it takes until
 * somebody writes to the source.
 */
export class Resync {
  readonly request: StreamRequest;
  /** Resolves, whatever comes of it. */
  readonly ended: Promise<void>;
  readonly #source: ChangeSource;
  readonly #setting: ResyncSetting;
  readonly #signal: AbortSignal;
  readonly #place: () => Place;
  /** Everything before it is in the copies. Undefined while they are far behind. */
  #reached: Position | undefined;
  #failure: { readonly error: unknown } | undefined;
  #setGoal: (position: Position) => void = () => {};
  readonly #goal = new Promise<Position>((resolve) => {
    this.#setGoal = resolve;
  });

  constructor(
    request: StreamRequest,
    followers: readonly Copied[],
    source: ChangeSource,
    setting: ResyncSetting,
    { stop, place }: ResyncEnds,
  ) {
    this.request = request;
    this.#source = source;
    this.#signal = AbortSignal.any([setting.context.signal, stop]);
    this.#setting = { ...setting, context: { ...setting.context, signal: this.#signal } };
    this.#place = place;
    this.ended = this.#run(followers).catch(async (error: unknown) => {
      this.#failure = { error };
      await this.#nudge();
    });
  }

  readyAt(position: Position): boolean {
    return this.#failure !== undefined || (this.#reached !== undefined && this.#reached <= position);
  }

  /** The stream waits at `position` until the copies are there too. @throws what went wrong; then the tables are as they were */
  async takeOver(position: Position): Promise<void> {
    this.#setGoal(position);
    if (!this.#failure && this.#reached !== position) await this.#nudge();
    await this.ended;
    if (this.#failure) throw this.#failure.error;
  }

  async #run(followers: readonly Copied[]): Promise<void> {
    const { tables } = this.request;
    const { declared, context } = this.#setting;
    const unknown = tables.filter((table) => !Object.hasOwn(declared, table));
    if (unknown.length > 0 || tables.length === 0) throw noSuchTables(unknown, declared);
    await using snapshot = await this.#source.snapshot(tables);
    await using held = new Held();
    const copies: CatchingUp[] = [];
    const works = followers.map(({ branch, sink }): CopyWork => ({ branch, sink, tables, how: 'beside' }));
    await copyTables(snapshot, works, this.#setting, held, async (staged) => {
      copies.push({ ...staged, transforms: new ChangeTransforms(staged.work.branch.transforms, declared, context) });
    });
    const goal = await this.#catchUp(snapshot.read({ signal: this.#signal }), copies, snapshot.position);
    for (const { copy } of copies) await copy.finish(goal);
  }

  async #catchUp(groups: AsyncIterable<ChangeGroup>, copies: readonly CatchingUp[], from: Position): Promise<Position> {
    let goal: Position | undefined;
    if (this.#place().position <= from) goal = await this.#offer(from);
    if (goal === from) return goal;
    await this.#nudge();
    for await (const group of groups) {
      await applyTo(copies, group, goal);
      const reached = group.position() > from ? group.position() : from;
      if (goal === undefined && this.#isNear(reached, group)) goal = await this.#offer(reached);
      if (goal !== undefined && reached >= goal) return goal;
    }
    this.#signal.throwIfAborted();
    throw new MillraceError('CONNECTION_FAILED', { message: 'The stream of the copy ended early.', remedy: 'The copy begins again.' });
  }

  /** Both times are the source's. */
  #isNear(reached: Position, { transactions }: ChangeGroup): boolean {
    const { position, committedAt } = this.#place();
    const last = transactions.at(-1);
    if (reached >= position || !last || committedAt === null) return reached >= position;
    return Date.parse(committedAt) - Date.parse(last.committedAt) <= nearlyThere;
  }

  /** Answers where the stream waits: at `position` or after it. */
  async #offer(position: Position): Promise<Position> {
    this.#reached = position;
    await this.#nudge();
    return Promise.race([this.#goal, aborted(this.#signal)]);
  }

  async #nudge(): Promise<void> {
    try {
      await this.#source.nudge();
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#setting.context.log.warn(`the stream could not be nudged: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

interface CatchingUp extends StagedCopy {
  readonly transforms: ChangeTransforms;
}

async function applyTo(copies: readonly CatchingUp[], group: ChangeGroup, goal: Position | undefined): Promise<void> {
  const readers = tee(group.parts, copies.length);
  const outcomes = await Promise.allSettled(
    copies.map(async ({ copy, table, transforms }, place) => {
      const reader = readers[place] as (typeof readers)[number];
      const own: ChangeGroup = { transactions: group.transactions, size: group.size, position: () => group.position(), parts: reader };
      try {
        await copy.apply(transforms.through(before(own, table, goal)));
      } finally {
        reader.leave();
      }
    }),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

const noSuchTables = (unknown: readonly string[], declared: StreamTables): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: unknown.length === 0 ? 'No table was named.' : `The stream has no ${unknown.map((table) => `"${table}"`).join(', ')}.`,
    remedy: `Its tables are ${Object.keys(declared).join(', ')}.`,
  });

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

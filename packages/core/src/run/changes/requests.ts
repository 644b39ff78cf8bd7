import type { ChangeGroup, ChangeSink, ChangeSource, Position } from '../../connector/index.ts';
import { MillraceError, storeError } from '../../error/index.ts';
import type { StreamRequest } from '../../state/index.ts';
import { Held } from '../held.ts';
import type { StagePorts } from '../stage-job.ts';
import type { Branch } from './branches.ts';
import { type CopySetting, type CopyWork, copyTables, type StagedCopy } from './copy.ts';
import { tee } from './tee.ts';
import { ChangeTransforms } from './transform.ts';
import { before } from './trim.ts';

/** Milliseconds between two looks at what was asked. */
const askEvery = 1_000;
/** A copy whose last change is not older than this has caught up. */
const nearlyThere = 2_000;

export interface Copied {
  readonly branch: Branch;
  readonly sink: ChangeSink;
  readonly copied: Map<string, Position>;
}

/** What people ask of a stream while it runs: to copy tables again. One request at a time. */
export class Requests implements AsyncDisposable {
  readonly #ports: StagePorts;
  readonly #source: ChangeSource;
  readonly #setting: CopySetting;
  readonly #stop = new AbortController();
  #lookedAt = 0;
  #resync: Resync | undefined;

  constructor(ports: StagePorts, source: ChangeSource, setting: CopySetting) {
    this.#ports = ports;
    this.#source = source;
    this.#setting = setting;
  }

  /** Called between two groups: all sinks have everything before `position`, and nothing after it. */
  async between(followers: readonly Copied[], position: Position): Promise<void> {
    if (this.#resync?.readyAt(position)) {
      await this.#answer(this.#resync, followers, position);
      this.#resync = undefined;
    }
    if (!this.#ports.streamRequests || performance.now() - this.#lookedAt < askEvery) return;
    this.#lookedAt = performance.now();
    const [request] = await this.#ports.streamRequests();
    if (this.#resync || !request) return;
    this.#setting.context.log.info(`copies ${request.tables.join(', ')} again`, { request: request.id });
    this.#resync = new Resync(request, followers, this.#source, this.#setting, this.#stop.signal);
  }

  async #answer(resync: Resync, followers: readonly Copied[], position: Position): Promise<void> {
    const { request } = resync;
    const { log } = this.#setting.context;
    const tables = request.tables.join(', ');
    try {
      await resync.takeOver(position);
      for (const { copied } of followers) for (const table of request.tables) copied.set(table, position);
      log.info(`${tables}: the new copy has taken over`, { request: request.id, position });
      await this.#ports.answerRequest?.(request.id, null);
    } catch (error) {
      this.#setting.context.signal.throwIfAborted();
      log.warn(`copying ${tables} again failed: ${error instanceof Error ? error.message : String(error)}`);
      await this.#ports.answerRequest?.(request.id, storeError(error));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new MillraceError('SHUTDOWN', { message: 'The stream ends.', remedy: 'The copy begins again with the next start.' }));
    await this.#resync?.ended;
  }
}

/**
 * Tables that are copied again, beside those that readers see, while the stream goes on. When a copy has nearly caught up it waits until
 * the stream has come to where it is, or further; then the stream waits in turn, between two groups, until the copy is at the very same
 * position and takes over. So no reader ever sees the table ahead of the others or behind them.
 */
class Resync {
  readonly request: StreamRequest;
  /** Resolves, whatever comes of it. */
  readonly ended: Promise<void>;
  readonly #source: ChangeSource;
  /** Everything before it is in the copies. Undefined while they are not there yet. */
  #reached: Position | undefined;
  #failure: { readonly error: unknown } | undefined;
  #setGoal: (position: Position) => void = () => {};
  readonly #goal = new Promise<Position>((resolve) => {
    this.#setGoal = resolve;
  });

  constructor(request: StreamRequest, followers: readonly Copied[], source: ChangeSource, setting: CopySetting, stop: AbortSignal) {
    this.request = request;
    this.#source = source;
    const signal = AbortSignal.any([setting.context.signal, stop]);
    this.ended = this.#run(followers, { ...setting, context: { ...setting.context, signal } }, signal).catch((error: unknown) => {
      this.#failure = { error };
    });
  }

  readyAt(position: Position): boolean {
    return this.#failure !== undefined || (this.#reached !== undefined && this.#reached <= position);
  }

  /** @throws what went wrong */
  async takeOver(position: Position): Promise<void> {
    this.#setGoal(position);
    if (!this.#failure && this.#reached !== position) await this.#source.nudge();
    await this.ended;
    if (this.#failure) throw this.#failure.error;
  }

  async #run(followers: readonly Copied[], setting: CopySetting, signal: AbortSignal): Promise<void> {
    const { tables } = this.request;
    await using snapshot = await this.#source.snapshot(tables);
    await using held = new Held();
    const copies: CatchingUp[] = [];
    const works = followers.map(({ branch, sink }): CopyWork => ({ branch, sink, tables, how: 'beside' }));
    await copyTables(snapshot, works, setting, held, async (staged) => {
      const { transforms, tables: schemas } = staged.work.branch;
      copies.push({ ...staged, transforms: new ChangeTransforms(transforms, schemas, setting.context) });
    });
    const goal = await this.#catchUp(snapshot.read({ signal }), copies, snapshot.position, signal);
    for (const { copy } of copies) await copy.finish(goal);
  }

  async #catchUp(
    groups: AsyncIterable<ChangeGroup>,
    copies: readonly CatchingUp[],
    from: Position,
    signal: AbortSignal,
  ): Promise<Position> {
    let goal: Position | undefined;
    for await (const group of groups) {
      await applyTo(copies, group, goal);
      if (goal !== undefined && group.position() >= goal) return goal;
      const last = group.transactions.at(-1);
      if (goal !== undefined || (last && Date.now() - Date.parse(last.committedAt) > nearlyThere)) continue;
      this.#reached = group.position() > from ? group.position() : from;
      goal = await Promise.race([this.#goal, aborted(signal)]);
      if (this.#reached === goal) return goal;
    }
    signal.throwIfAborted();
    throw new MillraceError('CONNECTION_FAILED', { message: 'The stream of the copy ended early.', remedy: 'The copy begins again.' });
  }
}

interface CatchingUp extends StagedCopy {
  readonly transforms: ChangeTransforms;
}

async function applyTo(copies: readonly CatchingUp[], group: ChangeGroup, goal: Position | undefined): Promise<void> {
  const readers = tee(group.parts, copies.length);
  const outcomes = await Promise.allSettled(
    copies.map(async ({ copy, table, transforms }, place) => {
      const { items: parts, leave } = readers[place] as (typeof readers)[number];
      const own: ChangeGroup = { transactions: group.transactions, size: group.size, position: () => group.position(), parts };
      try {
        await copy.apply(transforms.through(before(own, table, goal)));
      } finally {
        await leave();
      }
    }),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

import type { ChangeSink, ChangeSource, Position } from '../../connector/index.ts';
import { MillraceError, storeError } from '../../error/index.ts';
import type { StagePorts } from '../stage-job.ts';
import type { Branch } from './branches.ts';
import { every } from './every.ts';
import { Resync, type ResyncSetting } from './resync.ts';

/** Milliseconds between two looks at what was asked. */
const askEvery = 1_000;

export interface Copied {
  readonly branch: Branch;
  readonly sink: ChangeSink;
  readonly copied: Map<string, Position>;
}

/** Where the stream is between two groups. */
export interface Place {
  readonly position: Position;
  /** When the last transaction that it had was committed, by the source's clock; null before the first. */
  readonly committedAt: string | null;
}

/** What people ask of a stream while it runs: to copy tables again. One request at a time. */
export class Requests implements AsyncDisposable {
  readonly #ports: StagePorts;
  readonly #source: ChangeSource;
  readonly #followers: readonly Copied[];
  readonly #setting: ResyncSetting;
  readonly #stop = new AbortController();
  readonly #answered = new Set<string>();
  readonly #looking: Disposable | undefined;
  #place: Place;
  #resync: Resync | undefined;

  constructor(ports: StagePorts, source: ChangeSource, followers: readonly Copied[], place: Place, setting: ResyncSetting) {
    this.#ports = ports;
    this.#source = source;
    this.#followers = followers;
    this.#place = place;
    this.#setting = setting;
    if (ports.streamRequests) this.#looking = every(askEvery, 'looking for requests', () => this.#look(), setting.context);
  }

  /**
   * Called between two groups: every sink has everything before the place. None that was ahead of the others when the stream began is ahead
   * any more where a copy is ready, since its snapshot came later.
   */
  async between(place: Place): Promise<void> {
    this.#place = { position: place.position, committedAt: place.committedAt ?? this.#place.committedAt };
    const resync = this.#resync;
    if (!resync?.readyAt(place.position)) return;
    await this.#answer(resync, place.position);
    this.#resync = undefined;
  }

  async #look(): Promise<void> {
    if (this.#resync) return;
    const request = (await this.#ports.streamRequests?.())?.find(({ id }) => !this.#answered.has(id));
    if (!request || this.#stop.signal.aborted) return;
    this.#setting.context.log.info(`copies ${request.tables.join(', ')} again`, { request: request.id });
    this.#resync = new Resync(request, this.#followers, this.#source, this.#setting, {
      stop: this.#stop.signal,
      place: () => this.#place,
    });
  }

  async #answer(resync: Resync, position: Position): Promise<void> {
    const { request } = resync;
    const { log, signal } = this.#setting.context;
    const tables = request.tables.join(', ');
    let failure: unknown = null;
    try {
      await resync.takeOver(position);
      for (const { copied } of this.#followers) for (const table of request.tables) copied.set(table, position);
      log.info(`${tables}: the new copy has taken over`, { request: request.id, position });
    } catch (error) {
      signal.throwIfAborted();
      log.warn(`copying ${tables} again failed: ${error instanceof Error ? error.message : String(error)}`);
      failure = error;
    }
    for (const table of request.tables) if (this.#setting.meter.stateOf(table)) this.#setting.meter.table(table, { at: 'ready' });
    this.#answered.add(request.id);
    try {
      await this.#ports.answerRequest?.(request.id, failure === null ? null : storeError(failure));
    } catch (error) {
      log.warn(`the answer to a request was lost: ${error instanceof Error ? error.message : String(error)}`, { request: request.id });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#looking?.[Symbol.dispose]();
    this.#stop.abort(new MillraceError('SHUTDOWN', { message: 'The stream ends.', remedy: 'The copy begins again with the next start.' }));
    await this.#resync?.ended;
  }
}

import type { Json, RemoteDescription, RemoteHandle, RemoteRequest, RemoteState, RemoteTask } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';

export type ServiceCall = 'start' | 'adopt' | 'poll' | 'cancel';

export interface MemoryServiceOptions {
  /** How it finds a start again whose answer was lost: by a token of the request, by asking for it, or not at all. */
  readonly remembers?: 'token' | 'asked' | 'nothing';
  /** False where `start` answers when the work is done. */
  readonly watched?: boolean;
  readonly pollMs?: number;
  readonly tellsForMs?: number;
  /** Called before each call does anything (`before`), and before it answers; what it throws is thrown there. */
  readonly at?: (call: ServiceCall, when: 'before' | 'after') => void | Promise<void>;
}

export interface ServiceWork {
  readonly handle: RemoteHandle;
  readonly request: RemoteRequest;
  state: RemoteState;
  /** How often it was asked to end. */
  cancels: number;
}

const running = { at: 'running', status: 'RUNNING', progress: null } as const;

/** A service in memory. What it does goes on until a test ends it, and it remembers every start: two works under one request can be seen. */
export class MemoryService {
  readonly works: ServiceWork[] = [];
  readonly calls: ServiceCall[] = [];
  /** It takes requests to end, and goes on. */
  deaf = false;
  /** It tells of no start any more by its request. */
  forgetful = false;
  /** So many starts are answered without an id. */
  nameless = 0;
  readonly #options: MemoryServiceOptions;

  constructor(options: MemoryServiceOptions = {}) {
    this.#options = options;
  }

  get running(): ServiceWork[] {
    return this.works.filter(({ state }) => state.at === 'running');
  }

  /** Ends the newest work. */
  end(state: Exclude<RemoteState, { at: 'running' }>): void {
    const work = this.works.at(-1);
    if (work) work.state = state;
  }

  task(label = 'Memory job'): RemoteTask {
    const { remembers = 'token', watched = true, pollMs = 10, tellsForMs } = this.#options;
    const description: RemoteDescription = {
      service: 'memory',
      action: 'StartWork',
      label,
      region: null,
      starts: remembers === 'nothing' ? 'at-least-once' : 'once',
      watched,
      pollMs,
      facts: {},
    };
    return {
      description,
      ...(tellsForMs !== undefined && { tellsForMs }),
      start: (request) =>
        this.#call('start', () => {
          const known = remembers === 'token' ? this.#of(request) : undefined;
          const { handle } = known ?? this.#begin(request, watched);
          return this.nameless-- > 0 ? { ...handle, id: '' } : handle;
        }),
      adopt: (request) => this.#call('adopt', () => (remembers === 'nothing' ? null : (this.#of(request)?.handle ?? null))),
      poll: (handle) => this.#call('poll', () => this.#work(handle)?.state ?? { at: 'failed', reason: 'it is not known', again: false }),
      cancel: (handle) =>
        this.#call('cancel', () => {
          const work = this.#work(handle);
          if (!work) return;
          work.cancels++;
          if (work.state.at === 'running' && !this.deaf) work.state = { at: 'failed', reason: 'it was stopped', again: true };
        }),
    };
  }

  async #call<T>(call: ServiceCall, act: () => T): Promise<T> {
    this.calls.push(call);
    await this.#options.at?.(call, 'before');
    const answer = act();
    await this.#options.at?.(call, 'after');
    return answer;
  }

  #begin(request: RemoteRequest, watched: boolean): ServiceWork {
    const id = `work-${this.works.length + 1}`;
    const output: Readonly<Record<string, Json>> = { said: 'done' };
    const handle = { id, link: `memory:${id}`, detail: { request: request.id } };
    const work: ServiceWork = { handle, request, state: watched ? running : { at: 'succeeded', output }, cancels: 0 };
    this.works.push(work);
    return work;
  }

  #of({ id }: RemoteRequest): ServiceWork | undefined {
    if (this.forgetful) return undefined;
    return this.works.find(({ request }) => request.id === id);
  }

  #work({ id }: RemoteHandle): ServiceWork | undefined {
    return this.works.find(({ handle }) => handle.id === id);
  }
}

/** As a service throttles. */
export const throttled = (): MillraceError =>
  new MillraceError('REMOTE_THROTTLED', { message: 'Rate exceeded.', remedy: 'Nothing to do: tried again.' });

import type { Context } from '@millrace/core/runtime';
import type { SessionSettings } from '../credentials.ts';
import { openSession, type Session } from '../session.ts';

/** A session that is opened anew when it has ended: a stream runs for months, and firewalls forget what is silent. It writes to `_millrace`. */
export class LastingSession implements AsyncDisposable {
  readonly #settings: SessionSettings;
  readonly #context: Context;
  #session: Promise<Session> | undefined;
  #isClosed = false;

  constructor(settings: SessionSettings, context: Context) {
    this.#settings = settings;
    this.#context = context;
  }

  /** @throws what `openSession` throws */
  async get(): Promise<Session> {
    const session = await this.#session?.catch(() => undefined);
    if (session && (!session.ended || this.#isClosed)) return session;
    this.#session = openSession(this.#settings, this.#context, { purpose: 'capture' });
    return this.#session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await (await this.#session?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
}

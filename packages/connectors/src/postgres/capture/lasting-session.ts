import type { Context } from '@millrace/core/runtime';
import { openSession, type Session, type SessionSettings } from '../client.ts';

/**
 * A session that is opened anew when it has ended: a stream runs for months, and firewalls forget what is silent. Its commits wait for no
 * standby: where the only synchronous one is the stream that is about to begin, they would wait for ever.
 */
export class LastingSession implements AsyncDisposable {
  readonly #settings: SessionSettings;
  readonly #context: Context;
  readonly #purpose: string;
  #session: Promise<Session> | undefined;
  #isClosed = false;

  constructor(settings: SessionSettings, context: Context, purpose: string) {
    this.#settings = settings;
    this.#context = context;
    this.#purpose = purpose;
  }

  /** @throws what `openSession` throws */
  async get(): Promise<Session> {
    const session = await this.#session?.catch(() => undefined);
    if (session && (!session.ended || this.#isClosed)) return session;
    this.#session = openSession(this.#settings, this.#context, { purpose: this.#purpose, settings: { synchronous_commit: 'local' } });
    return this.#session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await (await this.#session?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
}

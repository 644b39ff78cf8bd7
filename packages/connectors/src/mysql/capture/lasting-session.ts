import { type Context, MillraceError } from '@millrace/core/runtime';
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

  /** Those who ask at once get the same one. @throws what `openSession` throws */
  get(): Promise<Session> {
    this.#session = this.#lasting(this.#session);
    return this.#session;
  }

  async #lasting(before: Promise<Session> | undefined): Promise<Session> {
    const session = await before?.catch(() => undefined);
    if (session && (!session.ended || this.#isClosed)) return session;
    if (this.#isClosed) throw closed();
    return openSession(this.#settings, this.#context, { purpose: 'capture' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await (await this.#session?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
}

const closed = (): MillraceError =>
  new MillraceError('INTERNAL', { message: 'A stream that was closed asks its source for something.', remedy: 'Please report it.' });

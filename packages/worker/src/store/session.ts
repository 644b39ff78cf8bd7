import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { clientOf, loggedIn, type StateAddress } from './address.ts';
import { workerLocks } from './liveness.ts';

/** Pause before a lost session is opened again. */
const reopenMs = 500;

/**
 * A connection that stays: it hears notifications and holds the locks by which others see that this process lives. When it
 * breaks it is opened again with all of them; meanwhile notifications are missed and others may take what we hold, which the
 * epochs make harmless.
 */
export class StateSession implements AsyncDisposable {
  readonly #address: StateAddress;
  readonly #hear: (run: string) => void;
  readonly #locks = new Set<number>();
  #client: Promise<pg.Client> | undefined;
  #closed = false;

  constructor(address: StateAddress, hear: (run: string) => void) {
    this.#address = address;
    this.#hear = hear;
  }

  /** Begins to listen. */
  async open(): Promise<void> {
    await this.#opened();
  }

  async lock(key: number): Promise<void> {
    this.#locks.add(key);
    await take(await this.#opened(), key);
  }

  async unlock(key: number): Promise<void> {
    this.#locks.delete(key);
    const client = await this.#client?.catch(() => undefined);
    await client?.query('select pg_advisory_unlock_all()').catch(() => {});
    for (const other of this.#locks) if (client) await take(client, other);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const client = await this.#client?.catch(() => undefined);
    await client?.end().catch(() => {});
  }

  #opened(): Promise<pg.Client> {
    this.#client ??= loggedIn(this.#address, () => this.#open()).catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  async #open(): Promise<pg.Client> {
    const client = new pg.Client({
      ...clientOf(this.#address),
      application_name: 'millrace session',
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
    });
    client.on('notification', ({ payload }) => this.#hear(payload ?? ''));
    client.on('error', () => {}); // 'end' follows
    try {
      await client.connect();
      await client.query('listen millrace');
      for (const key of this.#locks) await take(client, key);
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    client.once('end', () => {
      this.#client = undefined;
      if (!this.#closed) void this.#reopen();
    });
    return client;
  }

  async #reopen(): Promise<void> {
    while (!this.#closed && !this.#client) {
      await sleep(reopenMs, undefined, { ref: false });
      if (this.#closed || this.#client) return;
      await this.#opened().catch(() => {});
    }
  }
}

async function take(client: pg.Client, key: number): Promise<void> {
  await client.query('select pg_advisory_lock($1, $2)', [workerLocks, key]);
}

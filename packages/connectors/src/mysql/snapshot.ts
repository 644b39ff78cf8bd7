import { isMillraceError, type Log } from '@millrace/core/runtime';
import { literal } from './literal.ts';
import type { Session } from './session.ts';

/** A session that sees the snapshot. `release` hands it back; without `whole` it is of no use any more and ends. */
export interface Reader {
  readonly session: Session;
  release(whole: boolean): void;
}

export interface SnapshotParts {
  /** Belongs to the snapshot from now on. */
  readonly session: Session;
  readonly connect: () => Promise<Session>;
  /** Readers at once. */
  readonly most: number;
  /** Quoted names of the tables that are read; null where they are not known (a view, a query). */
  readonly tables: readonly string[] | null;
  readonly log: Log;
}

/** How long writers of the table wait for us, and we for them. */
const lockSeconds = 3;

/**
 * One view of a table, as of one moment, on several connections. MySQL cannot hand a snapshot from one connection to another: they are
 * taken side by side while a lock keeps writers from the table for some milliseconds. Where that lock is not to be had (no privilege, a
 * transaction that goes on writing), all reading happens on one connection, one split after another.
 */
export class Snapshot implements AsyncDisposable {
  readonly #idle: Session[];
  readonly #all: readonly Session[];
  readonly #waiting: ((session: Session) => void)[] = [];
  #alive: number;

  private constructor(sessions: readonly Session[]) {
    this.#all = sessions;
    this.#idle = [...sessions];
    this.#alive = sessions.length;
  }

  static async take({ session, connect, most, tables, log }: SnapshotParts): Promise<Snapshot> {
    const more: Session[] = [];
    try {
      const locked = most > 1 && tables !== null ? await lock(connect, tables, log) : null;
      if (locked) {
        await using _held = locked;
        more.push(...(await Promise.all(Array.from({ length: most - 1 }, connect))));
        await Promise.all([session, ...more].map(begin));
      } else await begin(session);
    } catch (error) {
      for (const one of more) await one[Symbol.asyncDispose]();
      throw error;
    }
    return new Snapshot([session, ...more]);
  }

  /** The session that is there in any case, for the planning. */
  get session(): Session {
    return this.#all[0] as Session;
  }

  /** Where all sessions have ended, one of them: what ended it is told by its next statement. */
  async reader(): Promise<Reader> {
    const session = this.#idle.pop() ?? (this.#alive === 0 ? this.session : await this.#freed());
    let released = false;
    return {
      session,
      release: (whole) => {
        if (released) return;
        released = true;
        if (whole) this.#give(session);
        else if (--this.#alive === 0) for (const wake of this.#waiting.splice(0)) wake(this.session);
      },
    };
  }

  #give(session: Session): void {
    const wake = this.#waiting.shift();
    if (wake) wake(session);
    else this.#idle.push(session);
  }

  #freed(): Promise<Session> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#all) await session[Symbol.asyncDispose]();
  }
}

const begin = (session: Session): Promise<unknown> => session.execute('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');

/** A session that keeps writers from the tables for as long as it lives. */
async function lock(connect: () => Promise<Session>, tables: readonly string[], log: Log): Promise<Session | null> {
  const session = await connect();
  try {
    await session.execute(`SET SESSION lock_wait_timeout = ${literal(lockSeconds)}`);
    await session.execute(`LOCK TABLES ${tables.map((table) => `${table} READ`).join(', ')}`);
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    if (!isMillraceError(error) || error.facts['errno'] === undefined) throw error;
    log.info('The table cannot be locked for a moment: its splits are read one after another on one connection.', {
      reason: error.message,
    });
    return null;
  }
}

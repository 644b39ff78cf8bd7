import { isMillraceError, type Log, MillraceError } from '@millrace/core/runtime';
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

/** How long writers of tables wait for us, and we for them. */
const lockSeconds = 3;
/** Who has locked them and says nothing for so long has gone, with his machine or his network: the server ends his session, and writers go on. */
const silentSeconds = 10;

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
    const more = most > 1 && tables !== null ? await beginTogether(session, { connect, most, tables, log }) : null;
    if (!more) await begin(session);
    return new Snapshot([session, ...(more ?? [])]);
  }

  /** Of sessions that see the same already, which belong to it from now on. */
  static of(sessions: readonly Session[]): Snapshot {
    return new Snapshot(sessions);
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

export const begin = (session: Session): Promise<unknown> => session.execute('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');

/**
 * The sessions beside the first one, all of them at the same moment; null where the lock is not to be had. All are connected before
 * anything is locked, for writers wait until the last one has begun.
 */
async function beginTogether(
  first: Session,
  { connect, most, tables, log }: Pick<SnapshotParts, 'connect' | 'most' | 'log'> & { readonly tables: readonly string[] },
): Promise<Session[] | null> {
  const opened = await Promise.allSettled(Array.from({ length: most }, connect));
  const sessions = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const [locking, ...more] = sessions;
  let begun = false;
  try {
    for (const one of opened) if (one.status === 'rejected') throw one.reason;
    if (!locking || !(await isLocked(locking, tables, log))) return null;
    await Promise.all([first, ...more].map(begin));
    await assertHeld(locking, tables);
    begun = true;
    return more;
  } finally {
    // Writers go on at once.
    await locking?.[Symbol.asyncDispose]();
    if (!begun) for (const one of more) await one[Symbol.asyncDispose]();
  }
}

/** The lock ends with its session: if that has ended before the last one began, the moments may be several. @throws SNAPSHOT_LOST */
async function assertHeld(locking: Session, tables: readonly string[]): Promise<void> {
  try {
    await locking.query('SELECT 1');
  } catch (error) {
    throw new MillraceError('SNAPSHOT_LOST', {
      message: `The connection that kept writers from ${tables.join(', ')} ended before all readers had their snapshot.`,
      remedy: 'Nothing to do: it is tried again with a new snapshot.',
      cause: error,
    });
  }
}

/** From now on writers are kept from the tables for as long as the session lives. */
async function isLocked(session: Session, tables: readonly string[], log: Log): Promise<boolean> {
  try {
    await lockTables(session, tables);
    return true;
  } catch (error) {
    if (!isMillraceError(error) || error.facts['errno'] === undefined) throw error;
    log.info('The table cannot be locked for a moment: its splits are read one after another on one connection.', {
      reason: error.message,
    });
    return false;
  }
}

/**
 * Keeps writers from the tables until UNLOCK TABLES or the session's end, which comes by itself where nobody asks it for anything. Every transaction that has written to them has ended by then: without
 * autocommit InnoDB waits for those too that the server's own locks let through.
 *
 * @throws LOAD_CONFLICT where one does not end in time, ACCESS_DENIED
 */
export async function lockTables(session: Session, tables: readonly string[]): Promise<void> {
  const seconds = literal(lockSeconds);
  await session.execute(
    `SET SESSION autocommit = 0, SESSION wait_timeout = ${literal(silentSeconds)}, SESSION lock_wait_timeout = ${seconds}, SESSION innodb_lock_wait_timeout = ${seconds}`,
  );
  await session.execute(`LOCK TABLES ${tables.map((table) => `${table} READ`).join(', ')}`);
}

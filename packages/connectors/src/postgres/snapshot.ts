import { type Context, isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { Session } from './client.ts';
import { literal } from './literal.ts';

/** What readers are called in pg_stat_activity, after `millrace`. */
export const readerPurpose = 'read';

/** A session that sees the snapshot. `release` hands it back; without `whole` it is of no use any more and ends. */
export interface Reader {
  readonly session: Session;
  release(whole: boolean): void;
}

/**
 * One view of the database, as of one moment, on several connections. The first exports its snapshot and stays open; the others
 * import it. Where exporting is not possible (some read replicas), all reading happens on the first, one after another.
 */
export class Snapshot implements AsyncDisposable {
  readonly #exporter: Session;
  readonly #id: string | null;
  readonly #prepare: (session: Session) => Promise<void>;
  readonly #connect: () => Promise<Session>;
  readonly #most: number;
  readonly #idle: Session[] = [];
  readonly #busy = new Set<Session>();
  readonly #waiting: (() => void)[] = [];
  #opening = 0;
  #disposed = false;

  private constructor(parts: SnapshotParts & { readonly id: string | null }) {
    this.#exporter = parts.session;
    this.#id = parts.id;
    this.#prepare = parts.prepare;
    this.#connect = parts.connect;
    this.#most = parts.id === null ? 1 : parts.most;
    if (parts.id === null) this.#idle.push(parts.session);
  }

  /** Takes the snapshot on `session`, which belongs to it from now on. */
  static async take(parts: SnapshotParts): Promise<Snapshot> {
    const { session, log } = parts;
    const begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';
    let id: string | null = null;
    if (parts.most > 1) {
      await session.execute(begin);
      try {
        id = (await session.query('select pg_export_snapshot() as id'))[0]?.['id'] ?? null;
      } catch (error) {
        if (!isMillraceError(error) || error.facts['sqlstate'] === undefined) throw error;
        log.info('This server does not export snapshots: splits are read one after another on one connection.', { reason: error.message });
        await session.execute('ROLLBACK');
      }
    }
    if (id === null) {
      await session.execute(begin);
      await session.query('select 1');
    }
    await parts.prepare(session);
    return new Snapshot({ ...parts, id });
  }

  /** Looks at a snapshot that another connection exports and keeps: a slot's, or that of another source. */
  static async join(parts: SnapshotParts, id: string): Promise<Snapshot> {
    await importSnapshot(parts.session, id);
    await parts.prepare(parts.session);
    return new Snapshot({ ...parts, id });
  }

  /** The first session, to look at the catalog as of the snapshot. */
  get session(): Session {
    return this.#exporter;
  }

  /** What others call it; null where it cannot be shared. */
  get id(): string | null {
    return this.#id;
  }

  /**
   * A session that nobody else uses, once there is one. `alone` where nobody else will want one: then the first session does the
   * reading too, and no other is opened.
   *
   * @throws SNAPSHOT_LOST, CONNECTION_FAILED, CONNECTION_LIMIT
   */
  async reader(alone = false): Promise<Reader> {
    for (;;) {
      if (this.#disposed) throw lost('it was closed');
      if (alone && this.#busy.size === 0 && this.#idle.length === 0 && !this.#exporter.ended) return this.#lend(this.#exporter);
      const idle = this.#idle.pop();
      if (idle) return this.#lend(idle);
      if (this.#id !== null && this.#busy.size + this.#opening < this.#most) return this.#lend(await this.#open(this.#id));
      if (this.#id === null && this.#exporter.ended) throw lost('its one connection was closed');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async #open(id: string): Promise<Session> {
    this.#opening++;
    let session: Session | undefined;
    try {
      session = await this.#connect();
      await importSnapshot(session, id);
      await this.#prepare(session);
      return session;
    } catch (error) {
      await session?.[Symbol.asyncDispose]();
      this.#waiting.shift()?.();
      throw error;
    } finally {
      this.#opening--;
    }
  }

  #lend(session: Session): Reader {
    this.#busy.add(session);
    let held = true;
    return {
      session,
      release: (whole) => {
        if (!held) return;
        held = false;
        this.#busy.delete(session);
        if (whole && !session.ended && !this.#disposed) this.#idle.push(session);
        else void session.kill();
        this.#waiting.shift()?.();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const wake of this.#waiting.splice(0)) wake();
    await Promise.all([...this.#busy].map((session) => session.kill()));
    await Promise.all([...this.#idle.splice(0), this.#exporter].map((session) => session[Symbol.asyncDispose]()));
  }
}

export interface SnapshotParts {
  readonly session: Session;
  /** Opens another session to the same server. */
  readonly connect: () => Promise<Session>;
  /** Once in each transaction, before anything is read. */
  readonly prepare: (session: Session) => Promise<void>;
  /** Readers at once. */
  readonly most: number;
  readonly log: Context['log'];
}

/** Begins a transaction that sees what another connection exports. @throws SNAPSHOT_LOST where that one has ended */
export async function importSnapshot(session: Session, id: string): Promise<void> {
  await session.execute('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    await session.execute(`SET TRANSACTION SNAPSHOT ${literal(id)}`);
  } catch (error) {
    if (isMillraceError(error) && error.facts['sqlstate'] !== undefined) throw lost(error.message);
    throw error;
  }
}

/** A read that ended because its session did, as the error it is for the stage: the rows must be read again, all of them. */
export function lostWhileReading(error: unknown): unknown {
  if (!isMillraceError(error) || (error.code !== 'CONNECTION_FAILED' && error.code !== 'LOAD_CONFLICT')) return error;
  return lost(error.message, error.facts);
}

function lost(why: string, facts: Readonly<Record<string, unknown>> = {}): MillraceError {
  return new MillraceError('SNAPSHOT_LOST', {
    message: `The snapshot that the rows were read from is gone: ${why}`,
    remedy:
      'Nothing to do: the stage is tried again with a new snapshot. If it happens each time, look for restarts, failovers and timeouts of the server.',
    facts,
  });
}

import { setTimeout as sleep } from 'node:timers/promises';
import { isMillraceError, MillraceError, withoutPassword } from '@millrace/core/runtime';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { StateDatabase } from './schema.ts';

export interface StateConnection extends AsyncDisposable {
  readonly db: Kysely<StateDatabase>;
  /** Runs a unit of work; once more where Postgres broke it off for a reason that passes. @throws STATE_UNAVAILABLE */
  readonly guard: <T>(work: (db: Kysely<StateDatabase>) => Promise<T>) => Promise<T>;
}

export function connect(url: string): StateConnection {
  const pool = new pg.Pool({
    connectionString: url,
    max: 6,
    idleTimeoutMillis: 10_000,
    connectionTimeoutMillis: 10_000,
    application_name: 'millrace state',
    // The search path must not decide where runs are kept, nor a server's default how they are read.
    options: '-c search_path=millrace -c timezone=UTC -c datestyle=ISO',
  });
  pool.on('error', () => {}); // an idle connection broke; the next query opens another
  // One that breaks between two statements of a transaction: the next statement is told, and this process must live to ask it.
  pool.on('connect', (client) => client.on('error', () => {}));
  const db = new Kysely<StateDatabase>({ dialect: new PostgresDialect({ pool }) });
  return {
    db,
    guard: (work) => guarded(() => work(db), url),
    [Symbol.asyncDispose]: () => db.destroy(),
  };
}

/** Deadlock, serialisation failure: another try gives the answer. */
const passing = new Set(['40P01', '40001']);
/** Postgres shuts down, starts up, has no connection left, has gone. */
const away = /^(08...|57P0[123]|53300|ECONN.*|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT)$/;

async function guarded<T>(work: () => Promise<T>, url: string): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (isMillraceError(error)) throw error;
      const code = (error as { code?: unknown }).code;
      if (typeof code === 'string' && passing.has(code) && attempt < 5) await sleep(10 * attempt);
      else if (isAway(error)) throw unavailable(error, url);
      else throw error;
    }
  }
}

export function isAway(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return (
    (typeof code === 'string' && away.test(code)) ||
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(String(message))
  );
}

function unavailable(cause: unknown, url: string): MillraceError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new MillraceError('STATE_UNAVAILABLE', {
    message: `The state database ${withoutPassword(url)} cannot be reached: ${message}`,
    remedy: 'Look whether it runs and whether this machine may connect to it. Runs wait where they are.',
    cause,
  });
}

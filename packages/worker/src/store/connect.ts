import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { clientOf, loggedIn, type StateAddress, urlOf } from './address.ts';
import { refusal } from './refusal.ts';
import type { StateDatabase } from './schema.ts';

export interface StateConnection extends AsyncDisposable {
  readonly db: Kysely<StateDatabase>;
  /** Runs a unit of work; once more where Postgres broke it off for a reason that passes. @throws STATE_UNAVAILABLE, or what `refusal` makes of it */
  readonly guard: <T>(work: (db: Kysely<StateDatabase>) => Promise<T>) => Promise<T>;
  /** One that comes often: each connection plans it once. Guarded as any. */
  readonly statement: <Row extends object>(text: string, values: readonly unknown[]) => Promise<Row[]>;
  /** Calls back when a connection has broken: what was heard before may be true of a server that is no more. */
  readonly onBreak: (listener: () => void) => void;
}

/** @throws CONFIG_INVALID where it is no address of a Postgres */
export function connect(address: StateAddress): StateConnection {
  const url = urlOf(address);
  checkUrl(url);
  const pool = new pg.Pool({
    ...clientOf(address),
    max: 6,
    idleTimeoutMillis: 10_000,
    connectionTimeoutMillis: 10_000,
    application_name: 'millrace state',
    // The search path must not decide where runs are kept, nor a server's default how they are read.
    options: '-c search_path=millrace -c timezone=UTC -c datestyle=ISO',
  });
  const broken = new Set<() => void>();
  const tell = () => {
    for (const listener of broken) listener();
  };
  pool.on('error', tell); // an idle connection broke; the next query opens another
  const open = new Set<pg.PoolClient>();
  pool.on('connect', (client) => {
    open.add(client);
    // One that breaks between two statements of a transaction: the next statement is told, and this process must live to ask it.
    client.on('error', tell);
  });
  pool.on('remove', (client) => void open.delete(client));
  /** They lead to a server that was the writer before a failover, or is none yet: the next statement dials again. */
  const cut = () => {
    for (const client of open) (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  };
  const guarded = guard(address, cut);
  const db = new Kysely<StateDatabase>({ dialect: new PostgresDialect({ pool }) });
  return {
    db,
    guard: (work) => guarded(() => work(db)),
    statement: <Row extends object>(text: string, values: readonly unknown[]) =>
      guarded(async () => (await pool.query<Row & pg.QueryResultRow>({ name: nameOf(text), text, values: [...values] })).rows),
    onBreak: (listener) => void broken.add(listener),
    [Symbol.asyncDispose]: () => db.destroy(),
  };
}

const names = new Map<string, string>();

/** Postgres cuts names at 63 bytes. */
function nameOf(text: string): string {
  const name = names.get(text) ?? `millrace ${createHash('sha256').update(text).digest('base64url')}`;
  names.set(text, name);
  return name;
}

/** Deadlock, serialisation failure: another try gives the answer. */
const passing = new Set(['40P01', '40001']);

const readOnly = '25006';

function guard(address: StateAddress, cut: () => void): <T>(work: () => Promise<T>) => Promise<T> {
  return async (work) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await loggedIn(address, work);
      } catch (error) {
        if (isMillraceError(error)) throw error;
        const { code } = error as { code?: unknown };
        if (code === readOnly) cut();
        if (typeof code === 'string' && passing.has(code) && attempt < 5) await sleep(10 * attempt);
        else throw refusal(error, urlOf(address)) ?? error;
      }
    }
  };
}

function checkUrl(url: string): void {
  if (URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol)) return;
  throw new MillraceError('CONFIG_INVALID', {
    message: 'The address of the state database is no postgres:// URL.',
    remedy: 'Check MILLRACE_STATE_URL or "state" in the config: postgres://host:5432/database. Leave both out for an embedded Postgres.',
  });
}

import { createHash, randomUUID } from 'node:crypto';
import { type NewTick, type ScheduleStore, withoutPassword } from '@millrace/core/runtime';
import pg from 'pg';
import { clientOf, type StateAddress, urlOf } from '../store/address.ts';
import { installTriggers, type Watch } from './change-triggers.ts';
import type { TriggerSource } from './trigger-source.ts';

export interface NotifySourceOptions {
  readonly store: ScheduleStore;
  /** All that wait for the channel: each gets its run. */
  readonly pipelines: readonly string[];
  readonly channel: string;
  /** The Postgres that notifies. */
  readonly database: StateAddress;
  /** Set where triggers write the rows: they are made here, and rows that come together start one run. */
  readonly watch?: Watch | null;
  /** Milliseconds between two looks at the table, also where nobody notifies; 5,000 by default. */
  readonly everyMs?: number;
  /** Hears that the table cannot be made there; notifications are heard all the same. */
  readonly onError?: (error: unknown) => void;
}

/** What wakes those who read the table. */
const wakeChannel = 'millrace_trigger';

/** In the user's database: a row starts a run, in the transaction that wrote it or not at all. */
export const triggerTableSql = `
create schema if not exists _millrace;
create table if not exists _millrace.trigger (
  id uuid primary key default gen_random_uuid(),
  channel text not null,
  payload text,
  created_at timestamptz not null default clock_timestamp()
);
create index if not exists trigger_channel on _millrace.trigger (channel, created_at);
create or replace function _millrace.tell() returns trigger language plpgsql as $$ begin perform pg_notify('${wakeChannel}', ''); return null; end $$;
create or replace trigger tell after insert on _millrace.trigger for each statement execute function _millrace.tell();
`;

/** First key of the lock by which one scheduler hears a channel; an arbitrary number. */
const hearingLocks = 7_731_503;

/**
 * `onNotify()`. Rows of `_millrace.trigger` are taken by whoever comes first: their ticks are stored, then the rows are deleted and that
 * is committed; a crash in between brings them again, under the same keys. A plain NOTIFY is heard by the one scheduler that holds
 * the channel's lock, and is lost while nobody listens, as NOTIFY is.
 */
export function notifySource({
  store,
  pipelines,
  channel,
  database,
  watch = null,
  everyMs = 5_000,
  onError = () => {},
}: NotifySourceOptions): TriggerSource {
  let session: Session | undefined;
  const offer: Offer = async (ticks) => {
    for (const pipeline of pipelines) await store.offer(pipeline, ticks);
  };

  async function look(signal: AbortSignal): Promise<number> {
    session ??= await open(database);
    const { client } = session;
    try {
      session.table ??= await makeTable(client, onError);
      if (watch !== null) return await lookAtChanges(session, watch, offer, everyMs, signal);
      if (!session.hears) session.hears = await hear(client, channel);
      while (session.table && (await takeRows(client, offer, channel)) > 0);
      for (let next = session.heard.shift(); next; next = session.heard.shift())
        if (session.hears && next.channel === channel) await offer([tick(randomUUID(), next.payload)]);
      if (!session.broken) await session.told(everyMs, signal);
      if (session.broken) throw new Error(`The session that listens at ${withoutPassword(urlOf(database))} has ended.`);
      return 0;
    } catch (error) {
      await close();
      throw error;
    }
  }

  async function close(): Promise<void> {
    const closing = session;
    session = undefined;
    await closing?.client.end().catch(() => {});
  }

  return {
    name: watch ? `changes of ${watch.tables.join(', ')} for ${watch.pipeline}` : `notifications of ${channel}`,
    everyMs,
    look,
    close,
  };
}

type Offer = (ticks: readonly NewTick[]) => Promise<void>;

interface Session {
  readonly client: pg.Client;
  readonly heard: { readonly channel: string; readonly payload: string }[];
  /** Until something is heard, or the time is over. */
  told(ms: number, signal: AbortSignal): Promise<void>;
  broken: boolean;
  hears: boolean;
  /** Whether the triggers of the tables have been looked after. */
  watched: boolean;
  /** False where it cannot be made. */
  table: boolean | undefined;
}

async function open(database: StateAddress): Promise<Session> {
  const client = new pg.Client({
    ...clientOf(database),
    application_name: 'millrace trigger',
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    // One that is stopped in the middle must not keep rows from the others.
    options: '-c idle_in_transaction_session_timeout=15s',
  });
  let wake = (): void => {};
  const session: Session = {
    client,
    heard: [],
    broken: false,
    hears: false,
    watched: false,
    table: undefined,
    async told(ms, signal) {
      if (session.heard.length > 0 || signal.aborted) return;
      await new Promise<void>((resolve) => {
        wake = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        const timer = setTimeout(() => wake(), ms);
        signal.addEventListener('abort', wake);
      });
    },
  };
  client.on('notification', ({ channel, payload = '' }) => {
    session.heard.push({ channel, payload });
    wake();
  });
  client.on('error', () => {}); // 'end' follows
  client.once('end', () => {
    session.broken = true;
    wake();
  });
  await client.connect();
  await client.query(`listen ${wakeChannel}`);
  return session;
}

async function makeTable(client: pg.Client, onError: (error: unknown) => void): Promise<boolean> {
  const there = async () =>
    (await client.query<{ there: boolean }>(`select to_regclass('_millrace.trigger') is not null as there`)).rows[0]?.there === true;
  if (await there()) return true;
  try {
    await client.query(`begin; select pg_advisory_xact_lock(${hearingLocks}, 0); ${triggerTableSql}; commit`);
    return true;
  } catch (error) {
    await client.query('rollback');
    onError(error);
    return there();
  }
}

async function hear(client: pg.Client, channel: string): Promise<boolean> {
  const { rows } = await client.query<{ held: boolean }>('select pg_try_advisory_lock($1, hashtext($2)) as held', [hearingLocks, channel]);
  if (rows[0]?.held !== true) return false;
  await client.query(`listen ${client.escapeIdentifier(channel)}`);
  return true;
}

/** Answers how many rows were taken. */
async function takeRows(client: pg.Client, offer: Offer, channel: string): Promise<number> {
  await client.query('begin');
  try {
    const { rows } = await client.query<{ id: string; payload: string | null }>(
      'select id, payload from _millrace.trigger where channel = $1 order by created_at limit 500 for update skip locked',
      [channel],
    );
    if (rows.length > 0) {
      await offer(rows.map(({ id, payload }) => tick(id, payload ?? '')));
      await client.query('delete from _millrace.trigger where id = any($1)', [rows.map(({ id }) => id)]);
    }
    await client.query('commit');
    return rows.length;
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

/** Triggers are made once for a session; then rows are taken when nothing more has come for a while. */
async function lookAtChanges(session: Session, watch: Watch, offer: Offer, everyMs: number, signal: AbortSignal): Promise<number> {
  if (!session.watched) {
    await installTriggers(session.client, watch);
    session.watched = true;
  }
  session.heard.length = 0;
  const waitMs = await takeTogether(session.client, offer, watch);
  if (!session.broken && waitMs > 0) await session.told(Math.min(waitMs, everyMs), signal);
  if (session.broken) throw new Error('The session that listens for changes has ended.');
  return 0;
}

/** Rows are waited for ten times as long as it should be quiet, at most. */
const longestQuiet = 10;
const mostTogether = 10_000;

/**
 * All rows of a channel as one tick, once no other has come for the time it should be quiet; answers in how many milliseconds to look again.
 * Its key is that of these rows: where a crash brings them again together with others, that is another tick, for the others want their run.
 */
async function takeTogether(client: pg.Client, offer: Offer, { channel, quietMs }: Watch): Promise<number> {
  await client.query('begin');
  try {
    await client.query(`select pg_advisory_xact_lock(${hearingLocks}, hashtext($1))`, [`together ${channel}`]);
    const { rows } = await client.query<{ id: string; payload: string; at: Date; age: string }>(
      `select id, payload, created_at as at, extract(epoch from clock_timestamp() - created_at) * 1000 as age from _millrace.trigger
       where channel = $1 order by created_at, id limit ${mostTogether}`,
      [channel],
    );
    const [first, last] = [rows[0], rows.at(-1)];
    const due = last !== undefined && (Number(last.age) >= quietMs || Number(first?.age) >= longestQuiet * quietMs);
    if (due) {
      const key = createHash('sha256')
        .update(rows.map(({ id }) => id).join())
        .digest('hex')
        .slice(0, 32);
      await offer([tick(key, together(rows))]);
      await client.query('delete from _millrace.trigger where id = any($1)', [rows.map(({ id }) => id)]);
    }
    await client.query('commit');
    if (last === undefined || due) return rows.length === mostTogether ? 0 : Number.POSITIVE_INFINITY;
    return Math.max(20, quietMs - Number(last.age));
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

/** `{"tables":{"public.orders":["insert","update"]},"notes":3,"from":…,"until":…}`: a note for each transaction, table and operation. */
function together(rows: readonly { readonly payload: string; readonly at: Date }[]): string {
  const tables: Record<string, string[]> = {};
  for (const { payload } of rows) {
    const { table, operation } = JSON.parse(payload) as { table: string; operation: string };
    tables[table] ??= [];
    if (!tables[table].includes(operation)) tables[table].push(operation);
  }
  return JSON.stringify({ tables, notes: rows.length, from: rows[0]?.at.toISOString(), until: rows.at(-1)?.at.toISOString() });
}

const tick = (id: string, payload: string): NewTick => ({
  key: `notify:${id}`,
  cause: 'notify',
  logicalTime: null,
  window: null,
  params: { payload },
  onTime: true,
  state: 'waiting',
  because: null,
});

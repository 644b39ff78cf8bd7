import pg from 'pg';
import { expect } from 'vitest';
import type { StreamOptions } from '../src/postgres/replication/start-command.ts';
import type { ReplicationStream, StreamHandler } from '../src/postgres/replication/stream.ts';
import { openReplication, type ReplicationConnection } from '../src/postgres/replication/transport.ts';
import { type Heard, recordPgoutput } from './record-pgoutput.ts';

export const openTo = (url: string, signal: AbortSignal = new AbortController().signal): Promise<ReplicationConnection> =>
  openReplication({ url }, { secret: async () => '', signal });

/** Runs statements one by one in a session of their own, and answers the rows of the last. */
export async function inSession(url: string, ...statements: readonly string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

export interface Recording {
  readonly stream: ReplicationStream;
  /** Messages so far, without keepalives. */
  readonly heard: Heard[];
  readonly keepalives: bigint[];
  /** Resolves when the last of `count` commits has been heard. */
  commits(count: number): Promise<void>;
}

/** Starts a stream of publication `p` from a slot and writes down what it says. */
export async function recordStream(
  connection: ReplicationConnection,
  slot: string,
  options: Partial<StreamOptions> & { readonly handler?: Partial<StreamHandler> } = {},
): Promise<Recording> {
  const { handler, ...rest } = options;
  const heard: Heard[] = [];
  const keepalives: bigint[] = [];
  const message = recordPgoutput((event) => heard.push(event));
  const stream = await connection.start({
    slot,
    from: 0n,
    options: { publications: ['p'], ...rest },
    handler: { message, keepalive: (end) => void keepalives.push(end), ...handler },
  });
  const committed = (): number => heard.filter(([what]) => /commit/i.test(what)).length;
  return {
    stream,
    heard,
    keepalives,
    commits: (count) => expect.poll(committed, { timeout: 60_000, interval: 5 }).toBeGreaterThanOrEqual(count),
  };
}

import pg from 'pg';

export interface InSession {
  (...statements: readonly string[]): Promise<void>;
  end(): Promise<void>;
}

/** A session of its own, for a transaction that stays open. */
export function inSession(url: string): InSession {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  const connected = client.connect();
  const run = async (...statements: readonly string[]): Promise<void> => {
    await connected;
    for (const statement of statements) await client.query(statement);
  };
  return Object.assign(run, { end: () => client.end() });
}

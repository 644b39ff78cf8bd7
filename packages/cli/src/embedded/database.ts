import pg from 'pg';

/** Creates the database unless it is there, and answers its URL. Safe to call from several processes at once. */
export async function createDatabase(url: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query('select from pg_database where datname = $1', [name]);
    if (found.rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } catch (error) {
    // Another process was quicker: duplicate_database, or unique_violation when both were inside CREATE DATABASE.
    const code = (error as { code?: string }).code;
    if (code !== '42P04' && code !== '23505') throw error;
  } finally {
    await client.end();
  }
  const there = new URL(url);
  // As libpq and pg both read it: pg does not undo the escape of a reserved character.
  there.pathname = `/${encodeURI(name).replaceAll('?', '%3F').replaceAll('#', '%23')}`;
  return there.href;
}

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** A session of the test's own, as soon as the server takes connections again. Whatever ends it is told by its queries. */
export async function connected(url: string): Promise<pg.Client> {
  for (let tries = 0; ; tries++) {
    const client = new pg.Client({ connectionString: url, application_name: 'chaos' });
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (tries > 100) throw error;
      await sleep(100);
    }
  }
}

import { MillraceError, withoutPassword } from '@millrace/core/runtime';
import pg from 'pg';
import { clientOf, type StateAddress, urlOf } from '../store/address.ts';
import { refusal } from '../store/refusal.ts';
import { loadBullmq } from './load-bullmq.ts';

/** BullMQ's own name for it, so that its tools find it. */
export const queueSchema = 'bullmq';

/** Another process may be making it at this moment. */
const waitMs = 60_000;

/**
 * Makes the tables of BullMQ, or brings them up to date: once, however many processes start, and without a lock where there is nothing to do.
 * @throws STATE_UNAVAILABLE, AUTHENTICATION_FAILED, ACCESS_DENIED, STATE_VERSION, UNSUPPORTED
 */
export async function migrateQueue(address: StateAddress): Promise<void> {
  const { runMigrations, assertSchemaCompatibility, SchemaMigrationRequiredError, SchemaVersionMismatchError, ...bullmq } =
    await loadBullmq();
  const client = new pg.Client({
    ...clientOf(address),
    connectionTimeoutMillis: 10_000,
    application_name: 'millrace queue',
    lock_timeout: waitMs,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const version = await assertSchemaCompatibility(client, queueSchema).catch((error: unknown) => {
      if (error instanceof SchemaMigrationRequiredError) return 0;
      throw error;
    });
    // Under an advisory lock of BullMQ's, in one transaction; whoever comes second finds everything done.
    if (version < bullmq.LATEST_SCHEMA_VERSION) await runMigrations(client, queueSchema);
  } catch (error) {
    throw meaning(error);
  } finally {
    await client.end().catch(() => {});
  }

  function meaning(error: unknown): unknown {
    const place = withoutPassword(urlOf(address));
    if (error instanceof SchemaVersionMismatchError) {
      return new MillraceError('STATE_VERSION', {
        message: `The schema "${queueSchema}" in ${place} was made by a newer version of BullMQ.`,
        remedy: 'Install that version of the package bullmq here too, or use another database for the queue.',
        cause: error,
      });
    }
    if (error instanceof bullmq.UnsupportedPostgresVersionError) {
      return new MillraceError('UNSUPPORTED', {
        message: `Postgres at ${place} is too old for a queue.`,
        remedy: 'Use Postgres 13 or newer, or the queue in Redis.',
        cause: error,
      });
    }
    if ((error as { code?: unknown }).code === '42501') {
      return new MillraceError('ACCESS_DENIED', {
        message: `The user of ${place} may not make the schema "${queueSchema}", where the queue is kept.`,
        remedy: `GRANT CREATE ON DATABASE … TO …; or let this user own the schema "${queueSchema}".`,
        cause: error,
      });
    }
    return refusal(error, urlOf(address)) ?? error;
  }
}

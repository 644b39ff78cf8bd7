import type { StoredError, StoredStream, StoredStreamRequest, StreamKey, StreamRequest } from '@millrace/core/runtime';
import { type Kysely, type Selectable, sql } from 'kysely';
import { json } from './json.ts';
import type { StateDatabase, StreamRequestTable } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** What is known of streams, and what is asked of them. */

export async function streams(db: Db, pipeline: string | undefined): Promise<StoredStream[]> {
  let found = db.selectFrom('stream').selectAll().orderBy('pipeline').orderBy('step');
  if (pipeline !== undefined) found = found.where('pipeline', '=', pipeline);
  return (await found.execute()).map(({ at, ...stream }) => ({ ...stream, at: at.toISOString() }));
}

export async function requestStream(
  db: Db,
  { pipeline, step }: StreamKey,
  { kind, tables }: Omit<StreamRequest, 'id'>,
): Promise<StoredStreamRequest> {
  const row = await db
    .insertInto('stream_request')
    .values({ pipeline, step, kind, tables: json(tables) })
    .returningAll()
    .executeTakeFirstOrThrow();
  return stored(row);
}

export async function openRequests(db: Db, { pipeline, step }: StreamKey): Promise<StreamRequest[]> {
  return db
    .selectFrom('stream_request')
    .select(['id', 'kind', 'tables'])
    .where('pipeline', '=', pipeline)
    .where('step', '=', step)
    .where('answered_at', 'is', null)
    .orderBy('ordinal')
    .execute();
}

export async function answerRequest(db: Db, id: string, error: StoredError | null): Promise<void> {
  await db
    .updateTable('stream_request')
    .set({ answered_at: sql<Date>`clock_timestamp()`, error: error && json(error) })
    .where('id', '=', id)
    .where('answered_at', 'is', null)
    .execute();
}

export async function streamRequest(db: Db, id: string): Promise<StoredStreamRequest | null> {
  const row = await db.selectFrom('stream_request').selectAll().where('id', '=', id).executeTakeFirst();
  return row ? stored(row) : null;
}

function stored({ ordinal: _, requested_at, answered_at, ...request }: Selectable<StreamRequestTable>): StoredStreamRequest {
  return { ...request, requestedAt: requested_at.toISOString(), answeredAt: answered_at?.toISOString() ?? null };
}

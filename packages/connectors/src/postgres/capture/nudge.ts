import type { Session } from '../client.ts';

/** The prefix of messages that say nothing: they move a quiet stream on, and whoever reads it hands on the place after them at once. */
export const nudgePrefix = 'millrace';

/** Writes such a message. Only what is flushed is sent, and with it everything before. */
export async function nudge(session: Session): Promise<void> {
  await session.execute(`begin; set local synchronous_commit = local; select pg_logical_emit_message(true, '${nudgePrefix}', ''); commit`);
}

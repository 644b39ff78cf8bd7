import { createHash } from 'node:crypto';
import { type Context, MillraceError, type Position, type StreamName } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { forgetMemories } from './column-memory.ts';
import { slotName, slotPrefix } from './slot-name.ts';
import { checkReadable, readSlots, type SlotState } from './slot-state.ts';
import { isOnHistory, placeOf, positions } from './stream-position.ts';
import { endOfLog, type SourceSystem } from './system.ts';

/** Whose slots they are. */
export interface SlotOwner {
  /** The connection as plans show it. */
  readonly label: string;
  readonly stream: StreamName;
  /** Of this attempt. */
  readonly epoch: number;
  readonly context: Pick<Context, 'log' | 'signal'>;
}

/** The slot that a stream is read from; null before there is one. @throws RESYNC_REQUIRED where it cannot be read any more */
export async function findSlot(session: Session, { stream }: SlotOwner): Promise<SlotState | null> {
  const slot = (await readSlots(session, stream)).at(-1);
  if (!slot) return null;
  if (slot.invalid !== null) {
    const [row] = await session.query(`select current_setting('max_slot_wal_keep_size') as keep`);
    checkReadable(slot, stream, row?.['keep'] ?? '');
  }
  return slot;
}

/** @throws RESYNC_REQUIRED where there is none, or it cannot be read any more */
export async function existingSlot(session: Session, owner: SlotOwner): Promise<SlotState> {
  const slot = await findSlot(session, owner);
  if (slot) return slot;
  throw resyncRequired(owner, `there is no replication slot "${slotPrefix(owner.stream)}_…"`, {});
}

/**
 * Begins a stream in place of whatever slots it had: `make` is given the name of the new one and where the log ended before it, and nobody else
 * begins the stream meanwhile.
 *
 * @throws SLOT_BUSY while another attempt does so, ATTEMPT_FENCED where a later one has
 */
export async function beginSlot<Made>(
  session: Session,
  owner: SlotOwner,
  prepare: () => Promise<void>,
  make: (name: string, origin: bigint) => Promise<Made>,
): Promise<Made> {
  const { stream, epoch } = owner;
  const slots = slotPrefix(stream);
  await alone(session, slots, epoch);
  try {
    await prepare();
    const there = await readSlots(session, stream);
    const later = there.find((slot) => slot.epoch > epoch);
    if (later) throw begunLater(stream, later);
    for (const { name } of there) await dropSlot(session, owner, name);
    await forgetMemories(session, slots);
    const origin = await endOfLog(session);
    return await make(slotName(slots, { origin, epoch }), origin);
  } finally {
    await session.query('select pg_advisory_unlock(hashtextextended($1, 0))', [slots]).catch(() => {});
  }
}

/** Names a session after its attempt, so that a later one can end it: `capture 5f2b…/17`. */
export const sessionPurpose = (slots: string, epoch: number | '' = ''): string =>
  `capture ${createHash('sha256').update(slots).digest('hex').slice(0, 24)}/${epoch}`;

/** How long to wait for another attempt that is just beginning the stream. */
const aloneMs = 15_000;

/**
 * One at a time begins a stream: of two slots that are made at once, one would be left behind and hold the log for ever.
 *
 * @throws SLOT_BUSY
 */
async function alone(session: Session, slots: string, epoch: number): Promise<void> {
  // One that sleeps would keep us out for as long as it sleeps. Sessions of one's own role only: those of others cannot be ended.
  await session.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
       and case when starts_with(application_name, $1) then split_part(application_name, '/', 2)::int8 < $2 else false end`,
    [`millrace ${sessionPurpose(slots)}`, epoch],
  );
  for (const deadline = performance.now() + aloneMs; ; ) {
    const [row] = await session.query('select pg_try_advisory_lock(hashtextextended($1, 0)) as locked', [slots]);
    if (row?.['locked'] === 't') return;
    if (performance.now() > deadline) {
      throw new MillraceError('SLOT_BUSY', {
        message: `Another process is just beginning the stream of "${slots}_…".`,
        remedy: 'Nothing to do if that is an attempt that is going away: it is tried again. Else end that process.',
        facts: { slots },
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function begunLater({ pipeline, step }: StreamName, { name }: SlotState): MillraceError {
  return new MillraceError('ATTEMPT_FENCED', {
    message: `This attempt at "${step}" of "${pipeline}" came too late: a newer one has begun the stream in slot "${name}".`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { pipeline, step, slot: name },
  });
}

/** How long a reader that is going away may take to let go of the slot. */
const busyPatienceMs = 10_000;

/** Waits until nobody reads the slot. @throws SLOT_BUSY */
export async function awaitIdle(session: Session, { context }: SlotOwner, name: string): Promise<void> {
  const deadline = performance.now() + busyPatienceMs;
  for (;;) {
    const [row] = await session.query('select active_pid as pid from pg_replication_slots where slot_name = $1', [name]);
    if (!row?.['pid']) return;
    if (performance.now() > deadline) {
      throw new MillraceError('SLOT_BUSY', {
        message: `Replication slot "${name}" is read by another process (${row['pid']} at the server).`,
        remedy: `Nothing to do if that is an attempt that is going away: it is tried again. Else end it: SELECT pg_terminate_backend(${row['pid']});`,
        facts: { slot: name, pid: Number(row['pid']) },
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
    context.signal.throwIfAborted();
  }
}

/** @throws SLOT_BUSY */
export async function dropSlot(session: Session, owner: SlotOwner, name: string): Promise<void> {
  await awaitIdle(session, owner, name);
  await session.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [name]);
}

/** What older attempts made after they had been taken over from, and nobody will ever read. */
export async function dropStrays(session: Session, owner: SlotOwner, ours: SlotState): Promise<void> {
  const { stream, context } = owner;
  for (const { name, epoch, activePid } of await readSlots(session, stream)) {
    if (name === ours.name || epoch >= ours.epoch || activePid !== null) continue;
    context.log.info(`dropping slot "${name}", which an attempt made that came too late`);
    await dropSlot(session, owner, name).catch((error: Error) => context.log.warn(`slot "${name}" was not dropped: ${error.message}`));
  }
}

/** Whether the slot has everything that comes after a position. @throws RESYNC_REQUIRED */
export function checkPlace(owner: SlotOwner, { history }: SourceSystem, after: Position, slot: SlotState, end: bigint): void {
  const place = placeOf(after);
  const shown = positions(history);
  const facts = { slot: slot.name, position: after };
  if (!isOnHistory(place, history)) {
    throw resyncRequired(
      owner,
      `the stream was read up to ${after}, and this server (timeline ${history.current}) does not have what came last before that: it failed over, or was restored`,
      facts,
    );
  }
  if (place.lsn > end) {
    throw resyncRequired(
      owner,
      `the stream was read up to ${after}, and this server has only come to ${shown(end)}: it was restored to an older state`,
      facts,
    );
  }
  if (place.lsn < slot.confirmed) {
    throw resyncRequired(
      owner,
      `the stream was read up to ${after}, and slot "${slot.name}" only has what came after ${shown(slot.confirmed)}`,
      facts,
    );
  }
}

function resyncRequired({ label, stream }: SlotOwner, why: string, facts: Readonly<Record<string, unknown>>): MillraceError {
  const { pipeline, step } = stream;
  return new MillraceError('RESYNC_REQUIRED', {
    message: `${label}: ${why}.`,
    remedy: `Run "millrace resync ${pipeline}" to copy the tables again. Nothing was skipped.`,
    facts: { pipeline, step, ...facts },
  });
}

import {
  type ChangeGroup,
  type ChangeSink,
  type Context,
  type Fence,
  MillraceError,
  type Position,
  type SinkStream,
  type StreamIdentity,
} from '@millrace/core/runtime';
import { SessionLanes } from '../../postgres/apply/session-lanes.ts';
import type { Session } from '../session.ts';
import { attemptSession, closeAttempt, endEarlier, takeFence } from '../sink/fence.ts';
import { besideCopy, settle } from './beside-copy.ts';
import { passing } from './failpoints.ts';
import { freshCopy } from './fresh-copy.ts';
import { GroupWriter } from './group-writer.ts';
import { prepareTargets } from './prepare-targets.ts';
import type { ApplySettings } from './settings.ts';
import { beginMove, type Hold, readState, recordStream, tableStates, takeHold } from './stream-state.ts';
import { assertApplicable } from './target-problems.ts';
import type { TargetTable } from './target-table.ts';

/** What a sink has settled at its begin. */
export interface Applying {
  readonly settings: ApplySettings;
  readonly context: Context;
  readonly stream: SinkStream;
  readonly hold: Hold;
  /** As they are now: a change of schema puts another one in a table's place. */
  readonly targets: Map<string, TargetTable>;
  /** For copies, side by side. */
  readonly lanes: SessionLanes<Session>;
}

/** A group with nothing for us moves the position so often, and not oftener. */
const emptyMovesEveryMs = 1_000;

export function openApplySink(settings: ApplySettings, context: Context): ChangeSink {
  let begun: { readonly applying: Applying; readonly session: Session; readonly writer: GroupWriter } | null = null;
  let position: Position | null = null;
  /** A position that only empty groups have brought. */
  let waiting: Position | null = null;
  let movedAt = 0;

  const running = () => {
    if (begun) return begun;
    throw new MillraceError('INTERNAL', { message: 'The stream was not begun.', remedy: 'Please report it.' });
  };

  const moveTo = async (to: Position): Promise<Position> => {
    const { applying, session } = running();
    await beginMove(session, applying.hold, to);
    await session.execute('COMMIT');
    return settled(to);
  };

  const settled = (to: Position): Position => {
    position = to;
    waiting = null;
    movedAt = context.now().getTime();
    return to;
  };

  return {
    async begin(stream: SinkStream, fence: Fence) {
      assertApplicable(settings, stream.tables);
      const session = await applySession(settings, context, fence);
      try {
        await takeFence(session, fence);
        const hold = await takeHold(session, stream.owner, fence);
        // One that was opened in between, and still found the hold its own, must not come to its DDL.
        await endEarlier(session, fence);
        passing('mysql.apply.taken');
        await session.execute('SET SESSION innodb_lock_wait_timeout = 60');
        for (const { name } of await tableStates(session, hold)) await settle(session, hold, name);
        const targets = await prepareTargets(session, settings, hold, stream.tables, context.log);
        const lanes = new SessionLanes(
          () => applySession(settings, context, fence),
          Math.max(1, settings.connection.maxConnections ?? 4),
          closeAttempt,
        );
        const applying: Applying = { settings, context, stream, hold, targets, lanes };
        const { mark, ...state } = await readState(session, stream.owner);
        begun = { applying, session, writer: new GroupWriter({ ...applying, session }, mark) };
        position = state.position;
        return state;
      } catch (error) {
        await closeAttempt(session);
        throw error;
      }
    },

    async copy(table, how) {
      return how === 'fresh' ? freshCopy(running().applying, table) : besideCopy(running().applying, table);
    },

    async follow(identity: StreamIdentity, from: Position) {
      const { applying, session, writer } = running();
      writer.forgetMark();
      await recordStream(session, applying.hold, identity, from);
      passing('mysql.apply.followed');
      settled(from);
    },

    async apply(group: ChangeGroup) {
      const { writer } = running();
      if (group.transactions.length === 0) {
        const to = group.position();
        if (position !== null && to <= position) return position;
        if (position === null || context.now().getTime() - movedAt >= emptyMovesEveryMs) return moveTo(to);
        waiting = to;
        return position;
      }
      if (group.size !== null && position !== null && group.position() <= position) return position;
      return settled(await writer.write(group));
    },

    async flush() {
      running();
      if (waiting !== null) return moveTo(waiting);
      if (position !== null) return position;
      throw new MillraceError('INTERNAL', { message: 'The sink follows no stream yet.', remedy: 'Please report it.' });
    },

    async [Symbol.asyncDispose]() {
      await begun?.applying.lanes[Symbol.asyncDispose]();
      if (begun) await closeAttempt(begun.session);
    },
  };
}

/**
 * A session that the next attempt can find and end. Foreign keys are not looked at, as in a replica: rows come in an order of their own, and
 * what the source has cascaded is among the changes.
 */
async function applySession(settings: ApplySettings, context: Context, fence: Fence): Promise<Session> {
  const session = await attemptSession(settings.connection, context, fence);
  try {
    await session.execute('SET SESSION foreign_key_checks = 0, SESSION innodb_lock_wait_timeout = 60');
    return session;
  } catch (error) {
    await closeAttempt(session);
    throw error;
  }
}

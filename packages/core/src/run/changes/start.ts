import type { Position, SinkState, StreamIdentity, StreamStatus } from '../../connector/index.ts';
import { MillraceError } from '../../error/index.ts';

/** What is to be done before the stream is read, as it follows from what the sinks and the source remember. */
export type StreamBegin =
  /** Nobody follows a stream yet, or a person wants everything anew. */
  | { readonly kind: 'new' }
  /** `joining` sinks have no place in it yet; the others go on from theirs. */
  | { readonly kind: 'resume'; readonly joining: readonly string[] };

export interface Follower {
  /** The load step. */
  readonly name: string;
  readonly state: SinkState;
}

/**
 * Pure. Whatever does not fit together exactly is a reason to stop: a position is never guessed.
 *
 * @throws RESYNC_REQUIRED
 */
export function beginOf(pipeline: string, followers: readonly Follower[], stream: StreamStatus | null): StreamBegin {
  const following = followers.filter(({ state }) => state.identity !== null);
  if (following.length === 0) return { kind: 'new' };
  const resync = (message: string, facts: Readonly<Record<string, unknown>>): MillraceError =>
    new MillraceError('RESYNC_REQUIRED', {
      message,
      remedy: `Run "millrace resync ${pipeline}" to copy the tables again. Nothing has been skipped and nothing is lost at the source.`,
      facts: { pipeline, ...facts },
    });
  for (const { name, state } of following) {
    const { identity, position } = state as { identity: NonNullable<SinkState['identity']>; position: Position };
    const facts = { sink: name, position, identity };
    if (stream === null) {
      throw resync(`"${name}" follows the slot "${identity.slot}", which the source does not have any more.`, facts);
    }
    if (identity.source !== stream.identity.source) {
      throw resync(`"${name}" follows ${identity.source}, and this is ${stream.identity.source}: another database.`, facts);
    }
    if (identity.slot !== stream.identity.slot || identity.origin !== stream.identity.origin) {
      throw resync(
        `"${name}" follows the stream that began at ${identity.origin} in slot "${identity.slot}"; the slot "${stream.identity.slot}" now began at ${stream.identity.origin}. It was made anew, and what came between is not in it.`,
        facts,
      );
    }
    if (position < stream.confirmed) {
      throw resync(
        `"${name}" is at ${position}, and the source has let go of everything before ${stream.confirmed}: the target was restored to an older state, or somebody else has read the slot.`,
        { ...facts, confirmed: stream.confirmed },
      );
    }
    if (position > stream.end) {
      throw resync(`"${name}" is at ${position}, and the source has only come to ${stream.end}: it was restored to an older state.`, {
        ...facts,
        end: stream.end,
      });
    }
  }
  return { kind: 'resume', joining: followers.filter(({ state }) => state.identity === null).map(({ name }) => name) };
}

export const sameStream = (a: StreamIdentity | null, b: StreamIdentity): boolean =>
  a !== null && a.source === b.source && a.slot === b.slot && a.origin === b.origin;

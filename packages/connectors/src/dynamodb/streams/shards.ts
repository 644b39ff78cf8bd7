import { type Context, isAwsError, MillraceError } from '@millrace/core/runtime';
import type { StreamsService } from './client.ts';

export interface Shard {
  readonly id: string;
  readonly parent: string | null;
  /** The first sequence number that it has or will have. */
  readonly start: string;
  readonly isOpen: boolean;
}

/**
 * Of each shard that is known: the last sequence number that was read, null before the first, or `end`. A shard that was there when the stream was
 * begun, and of which nothing was read yet, has when that was: `since:1774742400000`.
 */
export type Reached = Readonly<Record<string, string | null>>;
export const end = 'end';
const since = 'since:';
/** DynamoDB keeps a change for 24 hours, and an hour is for clocks. */
const keptMs = 23 * 3_600_000;

/** All shards of a stream, in the order in which they are listed. @throws RESYNC_REQUIRED where the stream is gone */
export async function shardsOf(service: StreamsService, arn: string, context: Context): Promise<readonly Shard[]> {
  const shards: Shard[] = [];
  let after: string | undefined;
  do {
    const { StreamDescription } = await service.call(`looking at ${arn}`, context, async (sdk, client, options) => {
      try {
        return await client.send(
          new sdk.DescribeStreamCommand({ StreamArn: arn, ...(after !== undefined && { ExclusiveStartShardId: after }) }),
          options,
        );
      } catch (error) {
        if (isAwsError(error, 'ResourceNotFoundException'))
          throw gone(`the stream ${arn} is gone: it was turned off, or the table deleted`);
        throw error;
      }
    });
    for (const { ShardId = '', ParentShardId, SequenceNumberRange } of StreamDescription?.Shards ?? []) {
      shards.push({
        id: ShardId,
        parent: ParentShardId ?? null,
        start: SequenceNumberRange?.StartingSequenceNumber ?? '',
        isOpen: SequenceNumberRange?.EndingSequenceNumber === undefined,
      });
    }
    after = StreamDescription?.LastEvaluatedShardId;
  } while (after !== undefined);
  return shards;
}

/** Where a new stream begins: closed shards are over; open ones from their beginning, since nobody tells how far they have come. */
export const beginningOf = (shards: readonly Shard[], now: number): Reached =>
  Object.fromEntries(shards.map(({ id, isOpen }) => [id, isOpen ? since + now : end]));

/** The sequence number after which to read on, or null from the beginning. */
export const sequenceOf = (reached: string | null): string | null => (reached?.startsWith(since) ? null : reached);

/** True where what was trimmed of a shard's beginning is older than the stream, so that the copy has it. */
export const isOlder = (reached: string | null, now: number): boolean =>
  reached?.startsWith(since) === true && now - Number(reached.slice(since.length)) < keptMs;

/**
 * Pure. Shards that can be read now: not at their end, and with the parent at its end. Parents come before their children.
 *
 * @throws RESYNC_REQUIRED where one has gone before it was read, or one has come whose parent nobody has seen: something in between was trimmed
 */
export function readable(shards: readonly Shard[], reached: Reached, stream: string): readonly Shard[] {
  const listed = new Set(shards.map(({ id }) => id));
  for (const [id, at] of Object.entries(reached))
    if (at !== end && !listed.has(id)) throw gone(`shard ${id} of ${stream} was not read to its end, and is there no more`);
  for (const { id, parent } of shards)
    if (!Object.hasOwn(reached, id) && (parent === null || (!Object.hasOwn(reached, parent) && !listed.has(parent))))
      throw gone(`shard ${id} of ${stream} has come from ${parent ?? 'nowhere'}, which was never read`);
  return shards.filter(({ id, parent }) => reached[id] !== end && (parent === null || !listed.has(parent) || reached[parent] === end));
}

/** Without what was at its end before and is listed no more: nobody comes from there any longer. */
export function remembered(shards: readonly Shard[], before: Reached, now: Reached): Reached {
  const listed = new Set(shards.map(({ id }) => id));
  return Object.fromEntries(Object.entries(now).filter(([id, at]) => at !== end || before[id] !== end || listed.has(id)));
}

/** Shards of which something was read between two places, parents before their children, else by name. */
export function moved(shards: readonly Shard[], from: Reached, to: Reached): string[] {
  const parents = new Map(shards.map(({ id, parent }) => [id, parent]));
  const left = new Set(Object.keys(to).filter((id) => to[id] !== (from[id] ?? null)));
  const ordered: string[] = [];
  const seen = new Set<string>();
  const visit = (id: string): void => {
    if (seen.has(id)) return;
    seen.add(id);
    const parent = parents.get(id) ?? null;
    if (parent !== null) visit(parent);
    if (left.has(id)) ordered.push(id);
  };
  for (const id of [...left].sort()) visit(id);
  return ordered;
}

export const gone = (what: string): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message: `The stream cannot go on: ${what}.`,
    remedy:
      'Copy the tables again: millrace resync. DynamoDB keeps changes for 24 hours: a pipeline that follows them must not stand longer.',
    facts: { what },
  });

import { expect, test } from 'vitest';
import type { ChangeGroup, ChangePart, Context, Position } from '../../connector/index.ts';
import { changeGroup } from '../../testing/change-groups.ts';
import { Choices, seeded, workloadDatabase, workTransaction } from '../../testing/workload.ts';
import { Feed } from './feed.ts';
import type { Following } from './following.ts';
import { ChangeTransforms } from './transform.ts';

const context = { signal: new AbortController().signal, progress: () => {} } as unknown as Context;

/** Groups of three transactions, each of which knows the one behind it. */
function groups(): ChangeGroup[] {
  const database = workloadDatabase();
  const choices = new Choices(seeded(7));
  for (let left = 12; left > 0; left--) workTransaction(database, choices);
  const { log } = database;
  const made: ChangeGroup[] = [0, 3, 6, 9].map((from, place) => ({
    ...changeGroup(log.slice(from, from + 3), {}),
    next: () => made[place + 1] ?? null,
  }));
  return made;
}

const follower = (position: Position, copied: Following['copied'] = new Map()): Following =>
  ({ position, durable: position, copied, transforms: new ChangeTransforms([], {}, context) }) as unknown as Following;

const begin = (group: ChangeGroup): Position => group.transactions[0]!.commit;

async function partsOf(group: ChangeGroup): Promise<ChangePart[]> {
  const parts: ChangePart[] = [];
  for await (const part of group.parts) parts.push(part);
  return parts;
}

test('one sink alone gets the group behind the one that it applies, and the same again when its turn comes', async () => {
  const [first, second] = groups() as [ChangeGroup, ChangeGroup];
  const feed = new Feed([follower(begin(first))], context);
  const fed = await feed.of(first);
  await partsOf(fed.shares[0]!.group);
  const early = fed.shares[0]!.group.next?.();
  expect(early?.position()).toBe(second.position());
  expect(fed.shares[0]!.group.next?.()).toBe(early);
  const parts = await partsOf(early as ChangeGroup);
  const inTurn = await feed.of(second);
  expect(inTurn.shares.map(({ group }) => group)).toEqual([early]);
  expect(inTurn.counted.rows).toBe(parts.reduce((rows, part) => rows + (part.kind === 'changes' ? part.kinds.length : 0), 0));
});

test('a group that was looked at and does not come next is made anew', async () => {
  const [first, , third] = groups() as [ChangeGroup, ChangeGroup, ChangeGroup];
  const feed = new Feed([follower(begin(first))], context);
  const fed = await feed.of(first);
  const early = fed.shares[0]!.group.next?.();
  expect((await feed.of(third)).shares[0]?.group).not.toBe(early);
});

test('nothing is looked at early where some of it may not be news, or others read it too', async () => {
  const [first, second] = groups() as [ChangeGroup, ChangeGroup];
  const ahead = follower(begin(first), new Map([['orders', second.position()]]));
  for (const followers of [[ahead], [follower(begin(first)), follower(begin(first))]]) {
    const { shares } = await new Feed(followers, context).of(first);
    expect(shares.map(({ group }) => group.next?.())).toEqual(followers.map(() => null));
  }
});

test('a group that every sink has is read to its end, for nobody', async () => {
  const [first] = groups() as [ChangeGroup];
  const { shares } = await new Feed([follower(first.position())], context).of(first);
  expect(shares).toEqual([]);
  expect(await partsOf(first)).toEqual([]);
});

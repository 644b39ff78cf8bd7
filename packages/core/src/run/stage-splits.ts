import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadSession, Split, StagedPart } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { SplitClaim } from '../state/index.ts';
import { passing } from './failpoints.ts';
import type { OpenRows } from './open-rows.ts';
import { batchesOf, channelOf, type OpenRoute } from './route.ts';
import { lanes, sideBySide } from './splits.ts';
import type { SharedSplits } from './stage-job.ts';

export interface Moving {
  readonly rows: OpenRows;
  readonly session: LoadSession;
  readonly route: OpenRoute;
}

/** Milliseconds between two looks whether those who help are ready, or gone. */
const lookEvery = 200;
/** Milliseconds between two looks at how far they are. */
const countEvery = 2_000;

/** Stages these splits by itself. */
export async function stageAlone(splits: readonly Split[], moving: Moving): Promise<StagedPart[]> {
  const { rows } = moving;
  const parts: StagedPart[] = [];
  const stageOne = async (split: Split): Promise<void> => {
    const part = await moveSplit(split, moving);
    await rows.ports.storePart(part);
    passing('engine.part.stored');
    rows.meter.splitDone();
    parts.push(part);
  };
  await sideBySide(splits, rows.width, stageOne, rows.stop);
  return parts;
}

/** Offers these splits to other workers and stages those that nobody takes, until all are staged. */
export async function stageWithOthers(splits: readonly Split[], moving: Moving, shared: SharedSplits): Promise<StagedPart[]> {
  const { context, meter } = moving.rows;
  const wanted = new Set(splits.map(({ id }) => id));
  const own = new Set<string>();
  const ofOthers = async (): Promise<StagedPart[]> => (await shared.staged()).filter(({ split }) => wanted.has(split) && !own.has(split));
  const count = async (): Promise<void> => {
    const parts = await ofOthers();
    meter.others({ rows: sum(parts, 'rows'), bytes: sum(parts, 'bytes'), splits: parts.length });
  };
  let counted = performance.now();
  await shared.offer(splits.map(({ id }) => id));
  passing('engine.splits.offered');
  await stageClaimed(splits, moving, shared, {
    claimed: (split) => own.add(split),
    async nothing() {
      if (performance.now() - counted > countEvery) {
        counted = performance.now();
        await count();
      }
      await sleep(lookEvery, undefined, { signal: context.signal });
    },
  });
  await count();
  const parts = new Map((await shared.staged()).map((part) => [part.split, part]));
  return splits.map(({ id }) => parts.get(id) ?? missing(id));
}

/** Stages splits of an attempt that somebody else makes, as long as there are any that nobody stages. Answers how many it were. */
export async function stageForAnother(splits: readonly Split[], moving: Moving, shared: SharedSplits): Promise<number> {
  let staged = 0;
  await stageClaimed(splits, moving, shared, { claimed: () => void staged++, nothing: null });
  return staged;
}

interface WhileClaiming {
  claimed(split: string): void;
  /** Where all splits are claimed and some not staged yet. Null where that is the end. */
  readonly nothing: (() => Promise<void>) | null;
}

async function stageClaimed(
  splits: readonly Split[],
  moving: Moving,
  shared: SharedSplits,
  { claimed, nothing }: WhileClaiming,
): Promise<void> {
  const { rows } = moving;
  const byId = new Map(splits.map((split) => [split.id, split]));
  const lane = async (): Promise<boolean> => {
    rows.context.signal.throwIfAborted();
    const { claims, left } = await shared.claim(1);
    const [claim] = claims;
    if (claim) {
      const split = byId.get(claim.split) ?? missing(claim.split);
      claimed(split.id);
      await shared.store(claim, { ...(await moveSplit(nameOf(split, claim), moving)), split: split.id });
      passing('engine.part.stored');
      rows.meter.splitDone();
      return true;
    }
    if (left === 0 || !nothing) return false;
    await nothing();
    return true;
  };
  await lanes(rows.width, lane, rows.stop);
}

/** Whoever had it before may still be staging it, as far as it knows: the two must not meet under one name. */
const nameOf = (split: Split, { claim }: SplitClaim): Split => (claim === 1 ? split : { ...split, id: `${split.id}.${claim}` });

async function moveSplit(split: Split, { rows, session, route }: Moving): Promise<StagedPart> {
  const { context, source, transforms } = rows;
  context.signal.throwIfAborted();
  const channel = await source.open(split, route.read);
  const asIs = route.read === route.write && route.read !== 'batches';
  const part = await session.stage(split, asIs ? channel : channelOf(transforms.through(split.id, batchesOf(channel)), route.write));
  passing('engine.split.staged');
  return part;
}

const sum = (parts: readonly StagedPart[], of: 'rows' | 'bytes'): number => parts.reduce((total, part) => total + part[of], 0);

function missing(split: string): never {
  throw new MillraceError('INTERNAL', {
    message: `Split ${split} is not where it should be.`,
    remedy: 'Please report it.',
    facts: { split },
  });
}

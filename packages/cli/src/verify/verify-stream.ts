import { join } from 'node:path';
import type { Context, Scalar } from '@millrace/core/runtime';
import { type Comparison, compare } from './compare.ts';
import { differencesOf, type RowDifference } from './difference.ts';
import { DigestSpool } from './digest-spool.ts';
import { keyedRows, narrowed, type Wanted } from './keyed-rows.ts';
import { differingRanges, rangeChecksums, type SideChecksums, withRanges } from './range-checksums.ts';
import { type Reading, rowsOf } from './reading.ts';
import { uncomparedReason } from './remarks.ts';
import { type Look, settle, type Unsettled } from './settle.ts';
import type { StreamCheck } from './stream-check.ts';
import type { StreamClock } from './stream-clock.ts';
import { digest, equalSums, type TargetResult } from './verify-target.ts';

/** Times that ranges are summed before single rows are looked at, and those are looked at before they count as moving. */
const rangeLooks = 2;
const rowLooks = 12;
/** Differing rows that are looked at again. */
const mostRows = 300_000;

/**
 * Compares one table of a live stream with its copy at a target. What is the same at the first look is equal. What is not may be on its way:
 * it is looked at again, the source first, then the target once it has everything that was at the source by then, until it is the same, or is
 * clearly a difference. Where both are tables and nothing stands between, their databases compute checksums by range first.
 */
export async function verifyStreamTable(check: StreamCheck, clock: StreamClock, context: Context, show: number): Promise<TargetResult> {
  const { stored: selection, target, step, table } = check;
  const stream = (moving = 0) => ({ table, moving, followed: clock.followed });
  const base: Omit<TargetResult, 'stream'> = {
    steps: [step],
    object: selection?.description.object ?? `${table} in ${target.description.object}`,
    connection: target.description.connection,
    equal: true,
    windows: [],
    rows: { expected: 0, stored: 0 },
    unfit: 0,
    comparison: null,
    differences: [],
    reason: null,
  };
  if (!selection) return { ...base, reason: notCompared(target.description), stream: stream() };
  const stored: Reading = { selection, absorbed: [], transforms: [] };
  const between = () => clock.catchUp(step);
  const sums = await equalRanges(check, stored, clock, between, context);
  if (sums) return { ...base, ...equalSums(sums), stream: stream() };

  let whole = await compareRows(check, stored, async () => {}, context);
  // Rows that cannot be told apart cannot be looked at one by one either.
  for (let looks = 1; !check.keyed && whole.first.keys.length > 0 && looks < rangeLooks && clock.followed; looks++)
    whole = await compareRows(check, stored, between, context);
  const { first, rows, unfit } = whole;
  if (!check.keyed || first.keys.length === 0) {
    const differences = await shown(first.keys.slice(0, show), new Map(), check, stored, context);
    return { ...base, equal: first.keys.length === 0, rows, unfit, comparison: first, differences, stream: stream() };
  }
  const found = await settleAll(first, check, stored, between, context);
  const different = [...found.changed, ...found.onlyExpected, ...found.onlyStored];
  const unseen = first.changed + first.onlyExpected + first.onlyStored - first.keys.length;
  const comparison: Comparison = {
    equal: first.equal + found.equal,
    changed: found.changed.length,
    onlyExpected: found.onlyExpected.length,
    onlyStored: found.onlyStored.length,
    setAside: 0,
    // Of sides that have moved between the two they say nothing.
    checksums: { expected: '', stored: '' },
    keys: different.slice(0, show),
  };
  const differences = await shown(comparison.keys, found.keys, check, stored, context);
  return { ...base, equal: different.length === 0, rows, unfit, comparison, differences, stream: stream(found.moving + unseen) };
}

/** A log has every change and no current rows; what other targets hold may lie where nobody can read it. */
const notCompared = ({ mode, connector }: StreamCheck['target']['description']): string =>
  uncomparedReason(mode === 'log' ? 'change log' : `rows in ${connector} cannot be read from here`);

interface Whole {
  readonly first: Comparison;
  readonly rows: TargetResult['rows'];
  readonly unfit: number;
}

/** All rows of both sides, 16 bytes for each. */
async function compareRows(
  { reading, shape }: StreamCheck,
  stored: Reading,
  between: () => Promise<void>,
  context: Context,
): Promise<Whole> {
  using expected = new DigestSpool(join(context.spool, 'verify-stream', 'expected'));
  using there = new DigestSpool(join(context.spool, 'verify-stream', 'stored'));
  const unfit = await digest([{ reading, part: null }], shape, expected, context);
  await between();
  await digest([{ reading: stored, part: null }], shape, there, context);
  const first = compare({ expected, stored: there, later: null }, 'current', mostRows);
  return { first, rows: { expected: expected.rows, stored: there.rows }, unfit };
}

/** Sums the ranges that differ again and again. Null where they go on to differ, or cannot be computed by the databases. */
async function equalRanges(
  { reading, shape }: StreamCheck,
  stored: Reading,
  clock: StreamClock,
  between: () => Promise<void>,
  context: Context,
): Promise<SideChecksums | null> {
  if (reading.absorbed.length + reading.transforms.length > 0) return null;
  const sides = { source: reading.selection, stored: stored.selection };
  let sums = await rangeChecksums(sides, shape, null, context);
  for (let looks = 1; sums !== null; looks++) {
    const ranges = differingRanges(sums);
    if (ranges.length === 0) return sums;
    if (looks === rangeLooks || !clock.followed) return null;
    const again = await rangeChecksums(sides, shape, null, context, { ranges, between });
    sums = again && { expected: withRanges(sums.expected, ranges, again.expected), stored: withRanges(sums.stored, ranges, again.stored) };
  }
  return null;
}

interface Found {
  /** Rows that have become the same. */
  equal: number;
  readonly changed: string[];
  readonly onlyExpected: string[];
  readonly onlyStored: string[];
  moving: number;
  /** Values of the keys, by their hashes. */
  readonly keys: Map<string, { readonly key: readonly Scalar[] | null }>;
}

async function settleAll(
  { keys }: Comparison,
  check: StreamCheck,
  stored: Reading,
  between: () => Promise<void>,
  context: Context,
): Promise<Found> {
  const { reading, shape, sourceKey } = check;
  const found: Found = { equal: 0, changed: [], onlyExpected: [], onlyStored: [], moving: 0, keys: new Map() };
  let moving: ReadonlyMap<string, Unsettled> = new Map(keys.map((key) => [key, { key: null, still: 0 }]));
  let before: Look | null = null;
  for (let looks = 0; moving.size > 0 && looks < rowLooks; looks++) {
    const expected = await keyedRows(reading, shape, moving, sourceKey, context);
    // The first one is only what the others are held against.
    if (looks > 0) await between();
    const now: Look = { expected, stored: await keyedRows(stored, shape, moving, keyNames(check), context) };
    const settled = settle(moving, before, now);
    found.equal += settled.equal;
    for (const key of settled.different) {
      const [source, target] = [now.expected.get(key), now.stored.get(key)];
      (source && target ? found.changed : source ? found.onlyExpected : found.onlyStored).push(key);
      found.keys.set(key, { key: source?.key ?? target?.key ?? null });
    }
    moving = settled.moving;
    before = now;
  }
  found.moving = moving.size;
  return found;
}

const keyNames = ({ shape }: StreamCheck): string[] => shape.key.map((place) => shape.columns[place]?.name ?? '');

async function shown(
  keys: readonly string[],
  values: Wanted,
  check: StreamCheck,
  stored: Reading,
  context: Context,
): Promise<RowDifference[]> {
  if (keys.length === 0) return [];
  const wanted = new Map(keys.map((key) => [key, values.get(key) ?? { key: null }]));
  return differencesOf(
    keys,
    check.shape,
    () => rowsOf(narrowed(check.reading, wanted, check.sourceKey), null, context),
    () => rowsOf(narrowed(stored, wanted, keyNames(check)), null, context),
  );
}

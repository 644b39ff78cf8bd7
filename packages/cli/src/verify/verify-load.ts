import { join } from 'node:path';
import type { Context, Pipeline, Window } from '@millrace/core/runtime';
import { type Comparison, compare } from './compare.ts';
import { differencesOf, type RowDifference } from './difference.ts';
import { DigestSpool } from './digest-spool.ts';
import { checkpointOf, type LoadCheck } from './load-check.ts';
import { rangeChecksums, type SideChecksum, sameRanges } from './range-checksums.ts';
import { type Part, type Reading, rowsOf } from './reading.ts';
import { digestBytes, type RowShape, textReader, writeDigest } from './row-digest.ts';

/** What a comparison has found out about one load. */
export interface LoadResult {
  readonly step: string;
  readonly object: string;
  readonly connection: string;
  readonly equal: boolean;
  /** How far the target says it is; null where it holds everything, or nothing. */
  readonly window: Window | null;
  /** Rows of the source that the target should have, and rows that it has. */
  readonly rows: { readonly expected: number; readonly stored: number };
  /** Rows that no target column could hold: they are not expected. */
  readonly unfit: number;
  readonly comparison: Comparison | null;
  readonly differences: readonly RowDifference[];
  /** Why there is no comparison. */
  readonly reason: string | null;
}

/** Spools of one verification, which two loads of the same rows share. */
export class SideCache implements Disposable {
  readonly #directory: string;
  readonly #sides = new Map<string, Promise<Side>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  of(name: string, read: (spool: DigestSpool) => Promise<number>): Promise<Side> {
    const known = this.#sides.get(name);
    if (known) return known;
    const spool = new DigestSpool(join(this.#directory, `side-${this.#sides.size}`));
    const side = read(spool).then((unfit) => ({ spool, unfit }));
    this.#sides.set(name, side);
    return side;
  }

  [Symbol.dispose](): void {
    for (const side of this.#sides.values()) side.then(({ spool }) => spool[Symbol.dispose]()).catch(() => {});
  }
}

interface Side {
  readonly spool: DigestSpool;
  readonly unfit: number;
}

/**
 * Compares a load's target with what its source would give it now, up to the checkpoint that the target holds. Where both are
 * tables and nothing stands between, their databases compute checksums by key range, and rows are read only where these differ.
 * Otherwise each side is read once, keeping 16 bytes a row. It is read again only where there are differences to show.
 */
export async function verifyLoad(
  pipeline: Pipeline,
  check: LoadCheck,
  sides: SideCache,
  context: Context,
  show: number,
): Promise<LoadResult> {
  const { object, connection } = check.target.description;
  const base = {
    step: check.step,
    object,
    connection,
    window: null,
    rows: { expected: 0, stored: 0 },
    unfit: 0,
    comparison: null,
    differences: [],
  };
  if (check.stored === null)
    return { ...base, equal: false, reason: `${check.target.description.connector} cannot read back what was loaded` };
  const checkpoint = await checkpointOf(pipeline, check, context);
  if (checkpoint === null) return { ...base, equal: false, reason: 'nothing has been loaded yet' };
  const { window } = checkpoint;
  const covered: Part = window && { column: window.column, below: window.high };
  const after: Part = window && { column: window.column, from: window.high };
  const storedReading: Reading = { selection: check.stored, absorbed: [], transforms: [] };

  if (check.comparableInSql) {
    const sums = await rangeChecksums({ source: check.expected.selection, stored: check.stored }, check.shape, covered, context);
    if (sums && sameRanges(sums.expected, sums.stored)) return { ...base, equal: true, window, ...equalSums(sums) };
  }
  const digests = (reading: Reading, part: Part) => (spool: DigestSpool) => digest(reading, part, check.shape, spool, context);
  const name = (what: string) => JSON.stringify([what, check.stage.id, window?.high ?? null, check.shape]);
  const expected = await sides.of(name('expected'), digests(check.expected, covered));
  // Read after the rows that are covered: what changes in between is then in both, never in neither.
  const later = after && (await sides.of(name('later'), digests(check.expected, after)));
  const stored = await sides.of(JSON.stringify(['stored', check.step]), digests(storedReading, null));

  const comparison = compare({ expected: expected.spool, stored: stored.spool, later: later?.spool ?? null }, check.rule, show);
  const differences =
    comparison.keys.length > 0
      ? await differencesOf(
          comparison.keys,
          check.shape,
          () => rowsOf(check.expected, covered, context),
          () => rowsOf(storedReading, null, context),
        )
      : [];
  return {
    ...base,
    equal: comparison.onlyExpected + comparison.onlyStored + comparison.changed === 0,
    window,
    rows: { expected: expected.spool.rows, stored: stored.spool.rows },
    unfit: expected.unfit,
    comparison,
    differences,
    reason: null,
  };
}

function equalSums({
  expected,
  stored,
}: {
  expected: SideChecksum;
  stored: SideChecksum;
}): Pick<LoadResult, 'rows' | 'comparison' | 'reason'> {
  return {
    rows: { expected: expected.rows, stored: stored.rows },
    comparison: {
      equal: stored.rows,
      onlyExpected: 0,
      onlyStored: 0,
      changed: 0,
      setAside: 0,
      checksums: { expected: expected.checksum, stored: stored.checksum },
      keys: [],
    },
    reason: null,
  };
}

/** Writes the digests of a reading's rows; answers how many rows do not fit the target's columns. */
async function digest(reading: Reading, part: Part, shape: RowShape, spool: DigestSpool, context: Context): Promise<number> {
  const read = textReader(shape);
  const buffer = Buffer.alloc(digestBytes);
  let unfit = 0;
  for await (const batch of rowsOf(reading, part, context)) {
    const textsOf = read(batch);
    for (let row = 0; row < batch.rowCount; row++) {
      const texts = textsOf(row);
      if (texts === undefined) {
        unfit++;
        continue;
      }
      writeDigest(shape, texts, buffer, 0);
      spool.add(buffer);
    }
    context.progress({ rows: batch.rowCount });
  }
  return unfit;
}

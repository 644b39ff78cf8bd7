import { join } from 'node:path';
import type { ColumnBatch, Context, Pipeline, Window } from '@millrace/core/runtime';
import { type Comparison, compare } from './compare.ts';
import { differencesOf, type RowDifference } from './difference.ts';
import { DigestSpool } from './digest-spool.ts';
import { checkpointOf, type TargetCheck } from './load-check.ts';
import { rangeChecksums, type SideChecksum, sameRanges } from './range-checksums.ts';
import { type Part, type Reading, rowsOf } from './reading.ts';
import { digestBytes, type RowShape, textReader, writeDigest } from './row-digest.ts';

/** What a comparison has found out about one target. */
export interface TargetResult {
  /** The loads that fill it. */
  readonly steps: readonly string[];
  readonly object: string;
  readonly connection: string;
  readonly equal: boolean;
  /** How far each load says it has come; null where it holds everything, or has loaded nothing. */
  readonly windows: readonly (Window | null)[];
  /** Rows of the sources that the target should have, and rows that it has. */
  readonly rows: { readonly expected: number; readonly stored: number };
  /** Rows that no target column could hold: they are not expected. */
  readonly unfit: number;
  readonly comparison: Comparison | null;
  readonly differences: readonly RowDifference[];
  /** Why there is no comparison. */
  readonly reason: string | null;
  /** Of a stream. */
  readonly stream?: {
    readonly table: string;
    /** Rows that changed each time they were looked at, so that nobody can say. They do not count as different. */
    readonly moving: number;
    /** False where nobody follows the stream: what has changed at the source since is a difference. */
    readonly followed: boolean;
  };
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
 * Compares a target with what its sources would give it now, up to the checkpoint that it holds. Where both are tables and nothing
 * stands between, their databases compute checksums by key range, and rows are read only where these differ. Otherwise each side is
 * read once, keeping 16 bytes a row. It is read again only where there are differences to show.
 */
export async function verifyTarget(
  pipeline: Pipeline,
  check: TargetCheck,
  sides: SideCache,
  context: Context,
  show: number,
): Promise<TargetResult> {
  const { stored: selection, shape, target } = check;
  const { object, connection, connector } = target.description;
  const base = {
    steps: check.loads.map(({ step }) => step),
    object,
    connection,
    windows: [],
    rows: { expected: 0, stored: 0 },
    unfit: 0,
    comparison: null,
    differences: [],
  };
  if (selection === null) return { ...base, equal: false, reason: `${connector} cannot read back what was loaded` };
  const loaded = await coveredRows(pipeline, check, context);
  const windows = loaded.map(({ window }) => window);
  const [only] = loaded;
  if (!only) return { ...base, equal: false, reason: 'nothing has been loaded yet' };
  if (check.comparableInSql && loaded.length === 1) {
    const sums = await rangeChecksums({ source: only.reading.selection, stored: selection }, shape, only.covered, context);
    if (sums && sameRanges(sums.expected, sums.stored)) return { ...base, equal: true, windows, ...equalSums(sums) };
  }
  const parts = (choose: (rows: CoveredRows) => Part | 'none') =>
    loaded.flatMap((rows) => (choose(rows) === 'none' ? [] : [{ reading: rows.reading, part: choose(rows) as Part }]));
  const storedRows = [{ reading: { selection, absorbed: [], transforms: [] }, part: null }];
  const expectedRows = parts(({ covered }) => covered);
  const side = (what: string, rows: readonly ReadPart[]) =>
    sides.of(JSON.stringify([what, windows, shape]), (spool) => digest(rows, shape, spool, context));

  const sources = loaded.map(({ stage }) => stage).join(' ');
  const expected = await side(`expected ${sources}`, expectedRows);
  // Read after the rows that are covered: what changes in between is then in both, never in neither.
  const laterRows = parts(({ window }) => (window ? { column: window.column, from: window.high } : 'none'));
  const later = laterRows.length > 0 ? await side(`later ${sources}`, laterRows) : null;
  const stored = await side(`stored ${base.steps.join(' ')}`, storedRows);

  const comparison = compare({ expected: expected.spool, stored: stored.spool, later: later?.spool ?? null }, check.rule, show);
  const differences =
    comparison.keys.length > 0
      ? await differencesOf(
          comparison.keys,
          shape,
          () => rowsOfAll(expectedRows, context),
          () => rowsOfAll(storedRows, context),
        )
      : [];
  return {
    ...base,
    equal: comparison.onlyExpected + comparison.onlyStored + comparison.changed === 0,
    windows,
    rows: { expected: expected.spool.rows, stored: stored.spool.rows },
    unfit: expected.unfit,
    comparison,
    differences,
    reason: null,
  };
}

interface CoveredRows {
  readonly stage: string;
  readonly reading: Reading;
  readonly window: Window | null;
  /** What the checkpoint covers. */
  readonly covered: Part;
}

/** The loads that have loaded something, each with how far it has come. */
async function coveredRows(pipeline: Pipeline, check: TargetCheck, context: Context): Promise<CoveredRows[]> {
  const loaded: CoveredRows[] = [];
  for (const load of check.loads) {
    const checkpoint = await checkpointOf(pipeline, load, context);
    if (checkpoint === null) continue;
    const { window } = checkpoint;
    loaded.push({ stage: load.stage.id, reading: load.reading, window, covered: window && { column: window.column, below: window.high } });
  }
  return loaded;
}

export interface ReadPart {
  readonly reading: Reading;
  readonly part: Part;
}

async function* rowsOfAll(parts: readonly ReadPart[], context: Context): AsyncGenerator<ColumnBatch> {
  for (const { reading, part } of parts) yield* rowsOf(reading, part, context);
}

export function equalSums({
  expected,
  stored,
}: {
  expected: SideChecksum;
  stored: SideChecksum;
}): Pick<TargetResult, 'rows' | 'comparison' | 'reason'> {
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

/** Writes the digests of the rows; answers how many do not fit the target's columns. */
export async function digest(parts: readonly ReadPart[], shape: RowShape, spool: DigestSpool, context: Context): Promise<number> {
  const read = textReader(shape);
  const buffer = Buffer.alloc(digestBytes);
  let unfit = 0;
  for await (const batch of rowsOfAll(parts, context)) {
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

/** One measured case beside its limit, from the same run. */
export interface Result {
  readonly case: string;
  readonly rows: number;
  readonly rowsPerSecond: number;
  /** What the database's own tools reach. */
  readonly limitRowsPerSecond: number;
  /** `rowsPerSecond` over `limitRowsPerSecond`: the median over rounds, each round against the limit measured just before it. */
  readonly ratio: number;
  /** What the ratio should reach. */
  readonly target: number;
  /** Resident memory of all our processes together, sampled every 20 ms; the highest of all rounds. */
  readonly peakRssMb: number;
  readonly rounds: number;
  /** Where the case is about time: ours, and the peer's. `target` is then in milliseconds. */
  readonly milliseconds?: number;
  readonly peerMilliseconds?: number;
}

const widths = [10, 12, 12, 12, 8, 8, 10] as const;

/** One JSON object a line, or an aligned table. */
export function printResult(result: Result, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  if (!headed) row(['case', 'rows', 'rows/s', 'limit', 'ratio', 'target', 'RSS MB']);
  headed = true;
  const { rows, rowsPerSecond, limitRowsPerSecond, ratio, target, peakRssMb } = result;
  row([result.case, count(rows), count(rowsPerSecond), count(limitRowsPerSecond), ratio.toFixed(2), target.toFixed(2), count(peakRssMb)]);
}

let headed = false;

function row(cells: readonly string[]): void {
  process.stdout.write(
    `${cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index] ?? 0))).join(' ')}\n`,
  );
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US');

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

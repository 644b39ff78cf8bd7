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
  /** Seconds of a processor that our process, and the peer's, took for all rows; the databases' not counted. */
  readonly processorSeconds?: number;
  readonly peerProcessorSeconds?: number;
}

export type Measured = Pick<Result, 'rows' | 'rowsPerSecond' | 'limitRowsPerSecond' | 'ratio' | 'peakRssMb'>;

/** Our seconds and the limit's, round by round. */
export class Series {
  readonly #times: number[] = [];
  readonly #limits: number[] = [];
  #peakRssMb = 0;

  /** Round 0 warms up. */
  add(round: number, seconds: number, limit: number, peakRssMb: number): void {
    this.#peakRssMb = Math.max(this.#peakRssMb, peakRssMb);
    if (round === 0) return;
    this.#times.push(seconds);
    this.#limits.push(limit);
  }

  measured(rows: number): Measured {
    return {
      rows,
      rowsPerSecond: Math.round(rows / median(this.#times)),
      limitRowsPerSecond: Math.round(rows / median(this.#limits)),
      ratio: Number(median(this.#times.map((seconds, round) => (this.#limits[round] as number) / seconds)).toFixed(3)),
      peakRssMb: Math.round(this.#peakRssMb),
    };
  }
}

/** One figure that is not of rows moved. */
export interface Figure {
  readonly case: string;
  readonly value: number;
  readonly unit: 'ms' | 's' | 'stages/s' | 'MB' | 'connections';
  /** What the value should not exceed; of stages a second, what it should reach. */
  readonly target?: number;
  /** The same figure of what it is compared with, in the same run. */
  readonly peer?: number;
  /** How many times as good as the peer: above 1 is better. */
  readonly ratio?: number;
  readonly rounds: number;
  /** Of what the value consists, or what belongs to it; in its unit, or in the one that the name ends with. */
  readonly parts?: Readonly<Record<string, number>>;
}

const widths = [10, 12, 12, 12, 8, 8, 10] as const;

/** One JSON object a line, or an aligned table. */
export function printResult(result: Result | Figure, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  if ('value' in result) return printFigure(result);
  if (!headed) row(['case', 'rows', 'rows/s', 'limit', 'ratio', 'target', 'RSS MB']);
  headed = true;
  const { rows, rowsPerSecond, limitRowsPerSecond, ratio, target, peakRssMb } = result;
  row([result.case, count(rows), count(rowsPerSecond), count(limitRowsPerSecond), ratio.toFixed(2), target.toFixed(2), count(peakRssMb)]);
}

let headed = false;

function printFigure({ case: name, value, unit, target, peer, parts }: Figure): void {
  const beside = [...(target === undefined ? [] : [`target ${target}`]), ...(peer === undefined ? [] : [`peer ${peer}`])];
  const rest = Object.entries(parts ?? {}).map(([part, amount]) => `${part} ${amount}`);
  process.stdout.write(`${name.padEnd(28)} ${`${value} ${unit}`.padStart(16)}  ${[...beside, ...rest].join(', ')}\n`);
}

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

/** `share` of 0.5 is the median. */
export const percentile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] as number;

export const rounded = (value: number, digits = 2): number => Number(value.toFixed(digits));

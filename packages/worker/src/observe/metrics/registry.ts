import type { Meter } from '@opentelemetry/api';

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  add(labels: Labels, by?: number): void;
}

export interface Histogram {
  /** In seconds. */
  record(labels: Labels, value: number): void;
}

/** A value that is known when somebody asks. */
export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly values: readonly { readonly labels: Labels; readonly value: number }[];
  readonly type?: 'gauge' | 'counter';
}

/** Bounds of buckets, in seconds: from a no-op stage to a night's load. */
const buckets = [0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200];

/** Series of one metric. Those beyond it are counted together under `other`, so that nothing a pipeline does can fill the memory. */
const mostSeries = 1_000;

interface Family<S> {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly series: Map<string, { readonly labels: Labels; readonly state: S }>;
}

interface Tally {
  count: number;
  sum: number;
  /** Values in each bucket, not cumulated. */
  readonly within: number[];
}

/** Counters and histograms of one process, kept here for Prometheus and handed to OpenTelemetry, which does nothing without an SDK. */
export class Registry {
  readonly #meter: Meter;
  readonly #counters: Family<{ value: number }>[] = [];
  readonly #histograms: Family<Tally>[] = [];

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  counter(name: string, help: string, labels: readonly string[]): Counter {
    const family: Family<{ value: number }> = { name, help, labels, series: new Map() };
    const instrument = this.#meter.createCounter(dotted(name).replace(/\.total$/, ''), { description: help });
    this.#counters.push(family);
    return {
      add(given, by = 1) {
        const { labels: kept, state } = seriesOf(family, given, () => ({ value: 0 }));
        state.value += by;
        instrument.add(by, kept);
      },
    };
  }

  histogram(name: string, help: string, labels: readonly string[]): Histogram {
    const family: Family<Tally> = { name, help, labels, series: new Map() };
    const advice = { explicitBucketBoundaries: buckets };
    const instrument = this.#meter.createHistogram(dotted(name).replace(/\.seconds$/, ''), { description: help, unit: 's', advice });
    this.#histograms.push(family);
    return {
      record(given, value) {
        const { labels: kept, state } = seriesOf(family, given, () => ({ count: 0, sum: 0, within: buckets.map(() => 0) }));
        state.count++;
        state.sum += value;
        const at = buckets.findIndex((bound) => value <= bound);
        if (at >= 0) state.within[at] = (state.within[at] ?? 0) + 1;
        instrument.record(value, kept);
      },
    };
  }

  /** In Prometheus' text format, with these gauges after the counters. */
  text(gauges: readonly Gauge[]): string {
    const lines: string[] = [];
    for (const { name, help, series } of this.#counters) {
      lines.push(...head(name, help, 'counter'));
      for (const { labels, state } of series.values()) lines.push(sample(name, labels, state.value));
    }
    for (const { name, help, series } of this.#histograms) {
      lines.push(...head(name, help, 'histogram'));
      for (const { labels, state } of series.values()) {
        let below = 0;
        for (const [i, bound] of buckets.entries()) {
          below += state.within[i] ?? 0;
          lines.push(sample(`${name}_bucket`, { ...labels, le: String(bound) }, below));
        }
        lines.push(sample(`${name}_bucket`, { ...labels, le: '+Inf' }, state.count));
        lines.push(sample(`${name}_sum`, labels, state.sum), sample(`${name}_count`, labels, state.count));
      }
    }
    for (const { name, help, values, type = 'gauge' } of gauges) {
      lines.push(...head(name, help, type));
      for (const { labels, value } of values.slice(0, mostSeries)) lines.push(sample(name, labels, value));
    }
    return `${lines.join('\n')}\n`;
  }
}

function seriesOf<S>({ labels, series }: Family<S>, given: Labels, fresh: () => S) {
  let kept: Labels = Object.fromEntries(labels.map((label) => [label, given[label] ?? '']));
  let key = JSON.stringify(Object.values(kept));
  if (!series.has(key) && series.size >= mostSeries) {
    kept = Object.fromEntries(labels.map((label) => [label, 'other']));
    key = 'other';
  }
  const found = series.get(key) ?? { labels: kept, state: fresh() };
  series.set(key, found);
  return found;
}

/** `millrace_stage_duration_seconds` is `millrace.stage.duration.seconds` in OpenTelemetry. */
const dotted = (name: string): string => name.replaceAll('_', '.');

const head = (name: string, help: string, type: string): string[] => [
  `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
  `# TYPE ${name} ${type}`,
];

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${numeral(value)}`;
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

function numeral(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
}

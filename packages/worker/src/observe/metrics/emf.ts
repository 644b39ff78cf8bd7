/*
 * CloudWatch embedded metric format: a log line from which CloudWatch Logs makes metrics, without a call of its API.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */

export const namespace = 'ETL/Jobs';

export type Unit = 'Seconds' | 'Count' | 'Bytes' | 'None';

export interface EmbeddedMetrics {
  readonly at: Date;
  /** What the metrics are told apart by: few, with few values. */
  readonly dimensions: Readonly<Record<string, string>>;
  readonly metrics: Readonly<Record<string, readonly [value: number, unit: Unit]>>;
  /** To be searched for in the logs; no metrics are made of them. */
  readonly properties?: Readonly<Record<string, string | number>>;
}

/** The line, without its end; null where no metric has a value that CloudWatch takes. */
export function embedded({ at, dimensions, metrics, properties = {} }: EmbeddedMetrics): string | null {
  const valid = Object.entries(metrics).filter(([, [value]]) => Number.isFinite(value) && Math.abs(value) < 2 ** 360);
  if (valid.length === 0) return null;
  return JSON.stringify({
    _aws: {
      Timestamp: at.getTime(),
      CloudWatchMetrics: [
        {
          Namespace: namespace,
          Dimensions: [Object.keys(dimensions)],
          Metrics: valid.map(([Name, [, Unit]]) => ({ Name, Unit })),
        },
      ],
    },
    ...properties,
    ...Object.fromEntries(Object.entries(dimensions).map(([name, value]) => [name, dimension(value)])),
    ...Object.fromEntries(valid.map(([name, [value]]) => [name, value])),
  });
}

/** 1 to 250 characters of ASCII, no control characters, no colon in front: others would cost the metric. */
function dimension(value: string): string {
  const plain = value
    .replace(/[^\x20-\x7e]/g, '?')
    .replace(/^:/, '_')
    .slice(0, 250);
  return plain.trim() === '' ? 'none' : plain;
}

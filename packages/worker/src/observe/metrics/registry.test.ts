import { metrics } from '@opentelemetry/api';
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fleetMetrics } from './fleet.ts';
import { Registry } from './registry.ts';

const registry = () => new Registry(metrics.getMeter('test'));

it('writes counters and histograms as Prometheus reads them', () => {
  const made = registry();
  made.counter('millrace_rows_total', 'Rows.', ['pipeline', 'stage']).add({ pipeline: 'p', stage: 's' }, 3);
  const runs = made.histogram('millrace_run_duration_seconds', 'Runs.', ['pipeline']);
  for (const value of [0.001, 0.5, 7, 100_000]) runs.record({ pipeline: 'p' }, value);
  const text = made.text([]);
  expect(text).toContain('# TYPE millrace_rows_total counter\nmillrace_rows_total{pipeline="p",stage="s"} 3\n');
  expect(text).toContain('millrace_run_duration_seconds_bucket{pipeline="p",le="0.005"} 1\n');
  expect(text).toContain('millrace_run_duration_seconds_bucket{pipeline="p",le="0.5"} 2\n');
  expect(text).toContain('millrace_run_duration_seconds_bucket{pipeline="p",le="15"} 3\n');
  expect(text).toContain('millrace_run_duration_seconds_bucket{pipeline="p",le="+Inf"} 4\n');
  expect(text).toContain(
    'millrace_run_duration_seconds_sum{pipeline="p"} 100007.501\nmillrace_run_duration_seconds_count{pipeline="p"} 4\n',
  );
});

it('keeps every line in the format, whatever a label holds', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.double(), (label, value) => {
      const text = registry().text([{ name: 'm', help: 'h', values: [{ labels: { a: label }, value }] }]);
      const lines = text.split('\n');
      expect(lines).toHaveLength(4);
      expect(lines[2]).toMatch(/^m\{a="(?:[^"\\]|\\["\\n])*"\} (?:NaN|[+-]Inf|-?[\d.]+(?:e[+-]\d+)?)$/s);
    }),
  );
});

it('counts series beyond its bound together', () => {
  const made = registry();
  const rows = made.counter('rows_total', 'Rows.', ['pipeline']);
  for (let i = 0; i < 5_000; i++) rows.add({ pipeline: `p${i}` });
  const samples = made
    .text([])
    .split('\n')
    .filter((line) => line.startsWith('rows_total{'));
  expect(samples).toHaveLength(1_001);
  expect(samples).toContain('rows_total{pipeline="other"} 4000');
});

it('says only that the store is away where it is', () => {
  expect(registry().text(fleetMetrics(null))).toContain('millrace_state_up 0\n');
});

it('hands everything to OpenTelemetry where there is an SDK', async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const provider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })] });
  const made = new Registry(provider.getMeter('test'));
  made.counter('millrace_rows_total', 'Rows.', ['pipeline']).add({ pipeline: 'p' }, 5);
  made.histogram('millrace_run_duration_seconds', 'Runs.', ['pipeline']).record({ pipeline: 'p' }, 2);
  await provider.forceFlush();
  const found = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  expect(found.map(({ descriptor }) => descriptor.name).sort()).toEqual(['millrace.rows', 'millrace.run.duration']);
  expect(found.find(({ descriptor }) => descriptor.name === 'millrace.rows')?.dataPoints[0]).toMatchObject({
    value: 5,
    attributes: { pipeline: 'p' },
  });
  await provider.shutdown();
});

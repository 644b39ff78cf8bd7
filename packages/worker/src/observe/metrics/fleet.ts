import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { FleetGauges } from '../../store/gauges.ts';
import type { Gauge } from './registry.ts';

/** The rows' figures as metrics. Null where the store could not be asked: then only that is said. */
export function fleetMetrics(fleet: FleetGauges | null): Gauge[] {
  const up: Gauge = { name: 'millrace_state_up', help: 'Whether the state store answers.', values: [{ labels: {}, value: fleet ? 1 : 0 }] };
  if (fleet === null) return [up];
  const { queues, runs, streams, alertsOpen } = fleet;
  const ofQueue = (name: string, help: string, value: (queue: (typeof queues)[number]) => number): Gauge => ({
    name,
    help,
    values: queues.map((queue) => ({ labels: { queue: queue.queue }, value: value(queue) })),
  });
  return [
    up,
    {
      name: 'millrace_stages',
      help: 'Stages that are ready, running here or elsewhere, or wait to be tried again.',
      values: queues.flatMap(({ queue, ready, running, retrying, elsewhere }) =>
        Object.entries({ ready, running, retrying, elsewhere }).map(([state, value]) => ({ labels: { queue, state }, value })),
      ),
    },
    ofQueue('millrace_oldest_ready_seconds', 'How long the stage has been ready that is ready longest.', ({ oldestReady }) => oldestReady),
    ofQueue(
      'millrace_backlog_per_worker',
      'Stages that could run now for each worker that lives.',
      ({ backlogPerWorker }) => backlogPerWorker,
    ),
    ofQueue('millrace_workers', 'Workers that live.', ({ workers }) => workers),
    {
      name: 'millrace_runs',
      help: 'Runs that have not ended, and those of the last day that have.',
      values: Object.entries(runs).map(([state, value]) => ({ labels: { state }, value })),
    },
    {
      name: 'millrace_stream_lag_seconds',
      help: 'From commit at the source to durable at the slowest sink, when last heard of.',
      values: streams.flatMap(({ pipeline, step, lag }) => (lag === null ? [] : [{ labels: { pipeline, step }, value: lag }])),
    },
    {
      name: 'millrace_stream_seen_seconds',
      help: 'Since the stream was heard of.',
      values: streams.map(({ pipeline, step, seen }) => ({ labels: { pipeline, step }, value: seen })),
    },
    { name: 'millrace_alerts_open', help: 'Alerts that are still to be sent.', values: [{ labels: {}, value: alertsOpen }] },
  ];
}

/** Of this process: under the names that dashboards know. */
export function processMetrics(): { readonly gauges: () => Gauge[]; readonly stop: () => void } {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const one = (value: number) => [{ labels: {}, value }];
  const gauges = (): Gauge[] => {
    const { user, system } = process.cpuUsage();
    const lag = delay.count > 0 ? delay.percentile(99) / 1e9 : 0;
    delay.reset();
    return [
      { name: 'process_cpu_seconds_total', help: 'CPU time, user and system.', type: 'counter', values: one((user + system) / 1e6) },
      { name: 'process_resident_memory_bytes', help: 'Resident memory of the main process.', values: one(process.memoryUsage.rss()) },
      {
        name: 'process_start_time_seconds',
        help: 'When it started, since 1970.',
        values: one(Math.round(Date.now() / 1e3 - process.uptime())),
      },
      { name: 'nodejs_eventloop_lag_p99_seconds', help: 'Delay of the main thread since the last look.', values: one(lag) },
    ];
  };
  return { gauges, stop: () => delay.disable() };
}

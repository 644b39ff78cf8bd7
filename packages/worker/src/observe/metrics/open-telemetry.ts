import type { BatchObservableResult, Meter } from '@opentelemetry/api';
import type { FleetGauges } from '../../store/gauges.ts';

/** The rows' figures for OpenTelemetry, read when an SDK collects; never without one. Every process says the same: take the maximum. */
export function observeFleet(meter: Meter, fleet: () => Promise<FleetGauges>): () => void {
  const gauge = (name: string, description: string, unit: string) => meter.createObservableGauge(name, { description, unit });
  const stages = gauge('millrace.stages', 'Stages that are ready, running, or wait to be tried again.', '{stage}');
  const oldest = gauge('millrace.oldest.ready', 'How long the stage has been ready that is ready longest.', 's');
  const backlog = gauge('millrace.backlog.per.worker', 'Stages that could run now for each worker that lives.', '{stage}');
  const workers = gauge('millrace.workers', 'Workers that live.', '{worker}');
  const lag = gauge('millrace.stream.lag', 'From commit at the source to durable at the slowest sink, when last heard of.', 's');
  const all = [stages, oldest, backlog, workers, lag];
  const collect = async (result: BatchObservableResult): Promise<void> => {
    const { queues, streams } = await fleet();
    for (const { queue, ready, running, retrying, oldestReady, backlogPerWorker, workers: alive } of queues) {
      for (const [state, value] of Object.entries({ ready, running, retrying })) result.observe(stages, value, { queue, state });
      result.observe(oldest, oldestReady, { queue });
      result.observe(backlog, backlogPerWorker, { queue });
      result.observe(workers, alive, { queue });
    }
    for (const stream of streams)
      if (stream.lag !== null) result.observe(lag, stream.lag, { pipeline: stream.pipeline, step: stream.step });
  };
  meter.addBatchObservableCallback(collect, all);
  return () => meter.removeBatchObservableCallback(collect, all);
}

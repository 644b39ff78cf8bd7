import type { FleetGauges } from '../../store/gauges.ts';
import type { RunEnded } from '../happenings.ts';
import { embedded } from './emf.ts';

/** A run that has ended, by `JobName`. One that a person has cancelled says nothing about the job. */
export function jobLine({ run, pipeline, at, result, durationMs }: RunEnded): string | null {
  if (result === 'cancelled') return null;
  const good = result === 'succeeded' ? 1 : 0;
  return embedded({
    at: new Date(at),
    dimensions: { JobName: pipeline },
    metrics: { JobDuration: [durationMs / 1_000, 'Seconds'], JobStatus: [good, 'None'], JobFailed: [1 - good, 'Count'] },
    properties: { Run: run, Result: result },
  });
}

/** The figures to scale a fleet by, and to be woken by; also of a fleet that has neither work nor workers. */
export function fleetLines(fleet: FleetGauges, queue: string | undefined, at: Date): string[] {
  const real = fleet.queues.filter((one) => one.queue !== 'local' && one.queue !== 'none');
  const none = { ready: 0, running: 0, oldestReady: 0, workers: 0, backlogPerWorker: 0 };
  const all = queue === undefined || real.some((one) => one.queue === queue) ? real : [...real, { queue, ...none }];
  return all.flatMap(({ queue: Queue, ready, running, oldestReady, workers, backlogPerWorker }) => {
    const line = embedded({
      at,
      dimensions: { Queue },
      metrics: {
        BacklogPerWorker: [backlogPerWorker, 'Count'],
        OldestReadyAge: [oldestReady, 'Seconds'],
        ReadyStages: [ready, 'Count'],
        RunningStages: [running, 'Count'],
        Workers: [workers, 'Count'],
      },
    });
    return line === null ? [] : [line];
  });
}

import type { AlertKind } from '@millrace/core/runtime';
import type { Happening } from '../happenings.ts';
import type { HeldAttempt } from '../watch-store.ts';
import type { Registry } from './registry.ts';

/** Streams whose progress is remembered, so that it is counted once: more than a process can follow. */
const mostStreams = 1_000;

/** What this process has done, counted as it happens. */
export interface Instruments {
  happened(happening: Happening): void;
  /** Streams never end: their rows are counted as they go. `pipelineOf` answers null for a run that is not known here. */
  beat(held: readonly HeldAttempt[], pipelineOf: (run: string) => string | null): void;
  alerted(target: string, kind: AlertKind, result: 'sent' | 'failed' | 'given-up'): void;
}

export function instruments(registry: Registry): Instruments {
  const ofStage = ['pipeline', 'stage'] as const;
  const runs = registry.histogram('millrace_run_duration_seconds', 'From start to end of a run.', ['pipeline', 'result']);
  const runWaits = registry.histogram('millrace_run_wait_seconds', 'How long a run waited to be admitted.', ['pipeline']);
  const stages = registry.histogram('millrace_stage_duration_seconds', 'From claim to end of an attempt at a stage.', [
    ...ofStage,
    'result',
  ]);
  const stageWaits = registry.histogram('millrace_stage_wait_seconds', 'How long a stage was ready before it was claimed.', ['pipeline']);
  const rows = registry.counter('millrace_rows_total', 'Rows committed, or applied by a stream.', ofStage);
  const bytes = registry.counter('millrace_bytes_total', 'Bytes committed, or read by a stream.', ofStage);
  const retries = registry.counter('millrace_retries_total', 'Attempts that failed and will be made again.', ofStage);
  const lost = registry.counter('millrace_leases_lost_total', 'Attempts whose worker was not heard of any more.', ofStage);
  const recovered = registry.counter('millrace_stages_recovered_total', 'Stages taken up again after a lost attempt.', ofStage);
  const alerts = registry.counter('millrace_alerts_total', 'Alerts sent, tried without success, and given up.', [
    'target',
    'kind',
    'result',
  ]);
  const streams = new Map<string, { rows: number; bytes: number }>();

  const happened = (one: Happening): void => {
    const { pipeline } = one;
    switch (one.type) {
      case 'run.started':
        return runWaits.record({ pipeline }, one.waitedMs / 1_000);
      case 'run.ended':
        return runs.record({ pipeline, result: one.result }, one.durationMs / 1_000);
      case 'attempt.started':
        stageWaits.record({ pipeline }, one.waitedMs / 1_000);
        if (one.recovers) recovered.add({ pipeline, stage: one.stage });
        return;
      case 'attempt.ended': {
        const { stage, result } = one;
        streams.delete(keyOf(one));
        stages.record({ pipeline, stage, result }, one.durationMs / 1_000);
        if (one.rows > 0) rows.add({ pipeline, stage }, one.rows);
        if (one.bytes > 0) bytes.add({ pipeline, stage }, one.bytes);
        if (result === 'retrying') retries.add({ pipeline, stage });
        if (result === 'lost') lost.add({ pipeline, stage });
        return;
      }
      default:
        return one satisfies never;
    }
  };

  return {
    happened,
    beat(held, pipelineOf) {
      for (const attempt of held) {
        const { stage, progress, lost: gone } = attempt;
        const pipeline = pipelineOf(attempt.run);
        if (gone) streams.delete(keyOf(attempt));
        if (!progress?.stream || gone || pipeline === null) continue;
        const before = streams.get(keyOf(attempt));
        if (!before && streams.size >= mostStreams) continue;
        const { rows: was = 0, bytes: had = 0 } = before ?? {};
        if (progress.rows > was) rows.add({ pipeline, stage }, progress.rows - was);
        if (progress.bytes > had) bytes.add({ pipeline, stage }, progress.bytes - had);
        streams.set(keyOf(attempt), { rows: progress.rows, bytes: progress.bytes });
      }
    },
    alerted: (target, kind, result) => alerts.add({ target, kind, result }),
  };
}

const keyOf = ({ run, stage, epoch }: { run: string; stage: string; epoch: number }): string => JSON.stringify([run, stage, epoch]);

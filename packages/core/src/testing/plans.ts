import { fingerprint, type Plan, type PlanStage } from '../plan/index.ts';
import type { RunRequest } from '../state/index.ts';

/** A stage for tests of the engine: it does nothing but stand in the graph. */
export function stageOf(id: string, needs: readonly string[] = [], options: Partial<PlanStage> = {}): PlanStage {
  const retry = { attempts: 3, delayMs: 1000, maxDelayMs: 60_000 };
  const rest = { absorbed: [], read: null, write: null, whole: true, timeoutMs: null, onFailure: 'stop' } as const;
  return { id, kind: 'execute', steps: [id], needs, lane: 'server', reason: 'a test', ...rest, retry, ...options };
}

export function planOf(pipeline: string, stages: readonly PlanStage[]): Plan {
  const body = { version: 1, pipeline, schedule: { kind: 'manual' }, params: {}, steps: [], stages, warnings: [] } as const;
  return { ...body, fingerprint: fingerprint(body) };
}

export function requestFor(pipeline: string, options: Partial<RunRequest> = {}): RunRequest {
  const when = { logicalTime: '2026-03-29T00:00:00.000Z', date: '2026-03-29', window: null };
  return { pipeline, ...when, params: {}, fullRefresh: false, omitted: {}, file: null, idempotencyKey: null, ...options };
}

import {
  type Command,
  decide,
  type Executor,
  fingerprint,
  makeRunId,
  type Plan,
  type RunRecord,
  type RunStore,
  type Schedule,
} from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import type { Deployed } from '../src/scheduler/launch.ts';

/** A pipeline with one stage and this schedule; `version` makes another plan of it. */
export function scheduled(
  pipeline: string,
  schedule: Schedule,
  options: { version?: string; params?: Plan['params'] } = {},
): [string, Deployed] {
  const { fingerprint: _, ...plan } = planOf(pipeline, [stageOf(options.version ?? 'a')]);
  const body = { ...plan, schedule, params: options.params ?? {} };
  return [pipeline, { file: `/pipelines/${pipeline}.ts`, plan: { ...body, fingerprint: fingerprint(body) } }];
}

/** Stores runs for nobody: what the fleet's executor does, without a fleet. */
export function executorOn(runs: RunStore): Pick<Executor, 'start' | 'cancel' | 'show' | 'retry'> {
  const obey = async (run: string, command: Command): Promise<RunRecord> =>
    (await runs.transition(run, (record, now) => decide(record, command, now))).run;
  return {
    async start({ plan, logicalTime = '', window, params = {}, fullRefresh = false, idempotencyKey = null }) {
      const { pipeline } = plan as Plan;
      const request = requestFor(pipeline, { logicalTime, window: window ?? null, params, fullRefresh, idempotencyKey });
      const made = await runs.create({ id: makeRunId(new Date(), Math.random), request, plan: plan as Plan, queue: 'fleet:test' });
      return { run: made.run, continued: !made.created };
    },
    cancel: (run) => obey(run, { type: 'cancel' }),
    show: async (run) => ({ run: await runs.read(run), abandoned: false, stages: [], waits: null }),
    retry: (run) => obey(run, { type: 'reopen', from: [] }),
  };
}

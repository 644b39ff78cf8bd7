import type { Plan, RunRecord, StageRecord } from '@millrace/core/runtime';
import type { Selectable } from 'kysely';
import type { RunTable, StageTable } from './schema.ts';

export type RunRow = Pick<Selectable<RunTable>, 'id' | 'request' | 'state' | 'cancel_requested_at' | 'created_at' | 'seq'>;
export type StageRow = Pick<Selectable<StageTable>, 'id' | 'state' | 'epoch' | 'attempts' | 'losses' | 'redone' | 'settled'>;

export const runColumns = ['id', 'request', 'state', 'cancel_requested_at', 'created_at', 'seq'] as const;
export const stageColumns = ['id', 'state', 'epoch', 'attempts', 'losses', 'redone', 'settled'] as const;

export function recordOf(run: RunRow, plan: Plan, stages: readonly StageRow[]): RunRecord {
  return {
    id: run.id,
    request: run.request,
    plan,
    createdAt: run.created_at.toISOString(),
    state: run.state,
    cancelRequestedAt: run.cancel_requested_at?.toISOString() ?? null,
    stages: new Map(stages.map((stage): [string, StageRecord] => [stage.id, { ...stage }])),
    seq: run.seq,
  };
}

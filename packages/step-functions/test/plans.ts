import type { Json, Plan, PlanStage, PlanStep, RemoteDescription, Schedule, StepFunctionsSettings } from '@millrace/core/runtime';

import { isRemote } from '../src/work/is-remote.ts';

export const settings: StepFunctionsSettings = {
  region: 'eu-west-1',
  cluster: 'etl',
  subnets: ['subnet-0a1b2c3d', 'subnet-1a2b3c4d'],
  securityGroups: ['sg-0a1b2c3d'],
  image: '123456789012.dkr.ecr.eu-west-1.amazonaws.com/etl:4f2a91c',
  roles: { passed: ['arn:aws:iam::123456789012:role/report'] },
};

export type StageLike = Partial<PlanStage> & { readonly id: string };

/** A plan of these stages, each of one step; `steps` says more of some of them. */
export function planOf(
  stages: readonly StageLike[],
  more: {
    readonly steps?: readonly PlanStep[];
    readonly schedule?: Schedule;
    readonly params?: Plan['params'];
    readonly name?: string;
  } = {},
): Plan {
  const described = new Map((more.steps ?? []).map((step) => [step.name, step]));
  return {
    version: 1,
    pipeline: more.name ?? 'nightly',
    fingerprint: 'f'.repeat(64),
    schedule: more.schedule ?? { kind: 'manual' },
    params: more.params ?? {},
    steps: stages.map(({ id }) => described.get(id) ?? stepOf(id)),
    stages: stages.map((stage) => ({
      kind: isRemote(described.get(stage.id) ?? { kind: '' }) ? ('remote' as PlanStage['kind']) : 'execute',
      steps: [stage.id],
      needs: [],
      lane: 'server',
      reason: 'the database does the work',
      absorbed: [],
      read: null,
      write: null,
      whole: true,
      retry: { attempts: 1, delayMs: 1000, maxDelayMs: 300_000 },
      timeoutMs: null,
      onFailure: 'stop',
      ...stage,
    })),
    warnings: [],
  };
}

export function stepOf(name: string, more: Partial<PlanStep> = {}): PlanStep {
  return {
    name,
    kind: 'execute',
    does: 'run 1 SQL statement(s)',
    description: { kind: 'sql' },
    input: null,
    after: [],
    columns: null,
    tables: null,
    edges: [],
    ddl: [],
    ...more,
  };
}

/** Work elsewhere, as a plan has it. */
export function remoteStep(
  name: string,
  described: Partial<RemoteDescription> & {
    readonly service: string;
    readonly action: string;
    readonly parameters: Readonly<Record<string, Json>>;
  },
): PlanStep {
  const { label = name, region = null, starts = 'once', watched = true, pollMs = 5_000, facts = { native: true }, ...rest } = described;
  return stepOf(name, {
    kind: 'remote' as PlanStep['kind'],
    does: label,
    description: { connector: rest.service, ...rest, label, region, starts, watched, pollMs, facts },
  });
}

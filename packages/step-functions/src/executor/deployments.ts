import { MillraceError, type Plan, type StepFunctionsSettings } from '@millrace/core/runtime';
import { compileStateMachines, type StateMachines } from '../compile.ts';
import type { StepFunctionsService } from './service.ts';

export interface DeploymentOptions {
  readonly service: StepFunctionsService;
  readonly settings: StepFunctionsSettings;
  /** The project's environment, for what people are to type. */
  readonly environment: string;
}

/** The machines of plans: what they compile to, and what is there of them. */
export interface Deployments {
  compiled(plan: Plan): StateMachines;
  /** The ARN of the machine that has the plan's name, whatever version of the pipeline it was made of. @throws REMOTE_REFUSED where there is none */
  machine(plan: Plan): Promise<string>;
  /** Of the machine that was made of this very plan. @throws REMOTE_REFUSED, PLAN_CHANGED */
  deployed(plan: Plan): Promise<string>;
}

export function deployments({ service, settings, environment }: DeploymentOptions): Deployments {
  const known = new Map<string, StateMachines>();
  const deploy = ({ pipeline }: Plan): string => `millrace deploy ${pipeline} --env ${environment} --apply`;

  function compiled(plan: Plan): StateMachines {
    const machines = known.get(plan.fingerprint) ?? compileStateMachines(plan, settings);
    known.set(plan.fingerprint, machines);
    return machines;
  }

  async function machine(plan: Plan): Promise<string> {
    const { name } = compiled(plan).main;
    const found = await service.machine(name);
    if (found === null) throw notDeployed(plan, name);
    return found;
  }

  async function deployed(plan: Plan): Promise<string> {
    const found = await machine(plan);
    const comment = await service.comment(found);
    if (comment === null) throw notDeployed(plan, compiled(plan).main.name);
    const fingerprint = fingerprintIn(comment);
    if (fingerprint !== null && plan.fingerprint.startsWith(fingerprint)) return found;
    throw new MillraceError('PLAN_CHANGED', {
      message: `The state machine of "${plan.pipeline}" was deployed from plan ${fingerprint ?? 'of another tool'}, and this is plan ${plan.fingerprint.slice(0, 12)}.`,
      remedy: `Deploy this version: ${deploy(plan)}. Or check out the version that is deployed.`,
      facts: { pipeline: plan.pipeline, deployed: fingerprint, plan: plan.fingerprint },
    });
  }

  const notDeployed = (plan: Plan, name: string): MillraceError =>
    new MillraceError('REMOTE_REFUSED', {
      message: `There is no state machine ${name} in ${settings.region}.`,
      remedy: `Deploy it: ${deploy(plan)}.`,
      facts: { pipeline: plan.pipeline, name, region: settings.region },
    });

  return { compiled, machine, deployed };
}

/** Of the comment that `compile` writes: as much of the plan's fingerprint as stands there. */
const fingerprintIn = (comment: string): string | null => /, plan ([0-9a-f]{12,64})$/.exec(comment)?.[1] ?? null;

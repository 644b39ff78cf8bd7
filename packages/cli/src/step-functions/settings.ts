import { MillraceError, type StepFunctionsSettings } from '@millrace/core/runtime';
import type { Project } from '../project/config.ts';

/** Where state machines of the chosen environment run. @throws CONFIG_INVALID where it does not say */
export function stepFunctionsSettings({ environment, environmentName }: Project): StepFunctionsSettings {
  const { stepFunctions } = environment;
  if (stepFunctions) return { environment: environmentName, ...stepFunctions };
  throw new MillraceError('CONFIG_INVALID', {
    message: `The environment "${environmentName}" does not say where its state machines run.`,
    remedy:
      'Give it "stepFunctions: { region, cluster, subnets, securityGroups, image }" in millrace.config.ts, or choose another one with --env.',
    facts: { environment: environmentName },
  });
}

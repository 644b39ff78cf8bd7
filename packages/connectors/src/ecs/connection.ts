import { MillraceError, type RemoteParameters, type RunValue, remote, type Step, type StepOptions } from '@millrace/core/runtime';
import type { AwsSettings } from '../aws/settings.ts';
import { ecsService } from './client.ts';
import { ecsTask } from './task.ts';

export interface EcsSettings extends AwsSettings {
  /** Name or ARN. */
  readonly cluster: string;
  /** For tasks of `awsvpc` networks, Fargate's among them. */
  readonly network?: {
    readonly subnets: readonly string[];
    readonly securityGroups?: readonly string[];
    readonly assignPublicIp?: boolean;
  };
}

export interface EcsTaskOptions {
  /** Whose exit code is the task's, and which the overrides below are for. */
  readonly container?: string;
  readonly command?: readonly (string | RunValue)[];
  /** No secrets: these are kept in plans. Secrets belong into the task definition. */
  readonly environment?: Readonly<Record<string, string | RunValue>>;
  /** Units and MiB of the container. */
  readonly cpu?: number;
  readonly memory?: number;
  /** `FARGATE` by default, where no capacity providers are given. */
  readonly launchType?: 'FARGATE' | 'EC2' | 'EXTERNAL';
  /** `[{ provider: 'FARGATE_SPOT', weight: 1 }]`: a task that Spot takes away is started again. */
  readonly capacityProviders?: readonly { readonly provider: string; readonly weight?: number; readonly base?: number }[];
  readonly platformVersion?: string;
  readonly group?: string;
  readonly propagateTags?: 'TASK_DEFINITION';
}

export interface EcsConnection {
  /** One task of the definition (family, `family:revision` or ARN), watched until it stops. */
  task(definition: string, options?: EcsTaskOptions, step?: StepOptions): Step<never, 'nothing'>;
}

/** ECS takes 8,192 characters of overrides. */
const overridesLimit = 8_192;

/** Containers as steps: `ecs({ cluster: 'etl', network }).task('report', { container: 'main', command: ['build', run.date] })`. */
export function ecs(settings: EcsSettings): EcsConnection {
  const { cluster } = settings;
  const service = ecsService(settings);
  return Object.freeze({
    task: (definition: string, options: EcsTaskOptions = {}, step: StepOptions = {}) =>
      remote(ecsTask(service, { cluster, definition, container: options.container ?? null }), runTask(settings, definition, options), step),
  });
}

function runTask({ cluster, network }: EcsSettings, definition: string, options: EcsTaskOptions): RemoteParameters {
  const { capacityProviders, launchType = 'FARGATE', platformVersion, group, propagateTags } = options;
  const overrides = containerOverrides(options);
  if (JSON.stringify(overrides).length > overridesLimit) {
    throw new MillraceError('PIPELINE_INVALID', {
      message: `The command and environment of ECS task ${definition} are longer than the ${overridesLimit} characters that ECS takes.`,
      remedy: 'Hand the task a name under which it finds what it needs, not the data.',
    });
  }
  return {
    Cluster: cluster,
    TaskDefinition: definition,
    ...(capacityProviders
      ? {
          CapacityProviderStrategy: capacityProviders.map(({ provider, weight = 1, base = 0 }) => ({
            CapacityProvider: provider,
            Weight: weight,
            Base: base,
          })),
        }
      : { LaunchType: launchType }),
    ...(platformVersion !== undefined && { PlatformVersion: platformVersion }),
    ...(network && {
      NetworkConfiguration: {
        AwsvpcConfiguration: {
          Subnets: network.subnets,
          ...(network.securityGroups && { SecurityGroups: network.securityGroups }),
          AssignPublicIp: network.assignPublicIp ? 'ENABLED' : 'DISABLED',
        },
      },
    }),
    ...(overrides && { Overrides: { ContainerOverrides: [overrides] } }),
    ...(group !== undefined && { Group: group }),
    ...(propagateTags !== undefined && { PropagateTags: propagateTags }),
  };
}

/** @throws PIPELINE_INVALID where something is overridden and nobody knows in which container */
function containerOverrides({ container, command, environment, cpu, memory }: EcsTaskOptions): RemoteParameters | null {
  const overrides = {
    ...(command && { Command: command }),
    ...(environment && { Environment: Object.entries(environment).map(([name, value]) => ({ Name: name, Value: value })) }),
    ...(cpu !== undefined && { Cpu: cpu }),
    ...(memory !== undefined && { Memory: memory }),
  };
  if (Object.keys(overrides).length === 0) return null;
  if (container !== undefined) return { Name: container, ...overrides };
  throw new MillraceError('PIPELINE_INVALID', {
    message: 'An ECS task with a command, environment, cpu or memory needs the container that they are for.',
    remedy: "Name it as the task definition does: { container: 'main', … }.",
  });
}

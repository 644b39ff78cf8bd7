import type { Plan, StepFunctionsSettings } from '@millrace/core/runtime';
import { machineName } from '../machine/names.ts';
import { container } from '../work/worker.ts';
import type { Places } from './fill.ts';
import type { Resource } from './resource.ts';

/** The task in which a stage runs: the project's image, read-only but for its temporary files. */
export function taskDefinition({ pipeline }: Plan, settings: StepFunctionsSettings, places: Places): Resource {
  const { cpu = 1024, memory = 2048, storage = 30, architecture = 'X86_64', image, secret, secrets = [], environment } = settings;
  return {
    Type: 'AWS::ECS::TaskDefinition',
    DeletionPolicy: 'Delete',
    // Executions that began before a deployment start their tasks from the revision that they began with.
    UpdateReplacePolicy: 'Retain',
    Properties: {
      Family: machineName(pipeline),
      RequiresCompatibilities: ['FARGATE'],
      NetworkMode: 'awsvpc',
      Cpu: String(cpu),
      Memory: String(memory),
      EphemeralStorage: { SizeInGiB: storage },
      RuntimePlatform: { CpuArchitecture: architecture, OperatingSystemFamily: 'LINUX' },
      ExecutionRoleArn: places['ExecutionRoleArn'],
      TaskRoleArn: places['TaskRoleArn'],
      Volumes: [{ Name: 'spool' }, { Name: 'tmp' }],
      ContainerDefinitions: [
        {
          Name: container,
          Essential: true,
          Image: image,
          StopTimeout: 120,
          ReadonlyRootFilesystem: true,
          LinuxParameters: { InitProcessEnabled: true, Capabilities: { Drop: ['ALL'] } },
          MountPoints: [
            { SourceVolume: 'spool', ContainerPath: '/app/project/.millrace', ReadOnly: false },
            { SourceVolume: 'tmp', ContainerPath: '/tmp', ReadOnly: false },
          ],
          ...(environment === undefined ? {} : { Environment: [{ Name: 'MILLRACE_ENV', Value: environment }] }),
          ...(secret !== undefined && secrets.length > 0
            ? { Secrets: secrets.map((name) => ({ Name: name, ValueFrom: `${secret}:${name}::` })) }
            : {}),
          LogConfiguration: {
            LogDriver: 'awslogs',
            Options: {
              'awslogs-group': { Ref: 'TaskLogs' },
              'awslogs-region': { Ref: 'AWS::Region' },
              'awslogs-stream-prefix': 'millrace',
              mode: 'non-blocking',
              'max-buffer-size': '25m',
            },
          },
        },
      ],
    },
  };
}

import { type AwsService, awsService } from '../aws/service.ts';
import type { AwsSettings } from '../aws/settings.ts';

type Sdk = typeof import('@aws-sdk/client-ecs');
export type EcsService = AwsService<Sdk, InstanceType<Sdk['ECSClient']>>;

export const ecsService = (settings: AwsSettings): EcsService =>
  awsService(
    {
      name: 'ECS',
      package: '@aws-sdk/client-ecs',
      load: () => import('@aws-sdk/client-ecs'),
      client: (sdk, configuration) => new sdk.ECSClient(configuration),
      grant:
        'ecs:RunTask on the task definition, iam:PassRole on its two roles, ecs:StopTask and ecs:DescribeTasks on tasks of the cluster, and ecs:ListTasks on the cluster',
    },
    settings,
  );

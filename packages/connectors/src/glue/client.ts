import { type AwsService, awsService } from '../aws/service.ts';
import type { AwsSettings } from '../aws/settings.ts';

type Sdk = typeof import('@aws-sdk/client-glue');
export type GlueService = AwsService<Sdk, InstanceType<Sdk['GlueClient']>>;

export const glueService = (settings: AwsSettings): GlueService =>
  awsService(
    {
      name: 'Glue',
      package: '@aws-sdk/client-glue',
      load: () => import('@aws-sdk/client-glue'),
      client: (sdk, configuration) => new sdk.GlueClient(configuration),
      grant: 'glue:StartJobRun, glue:GetJobRun, glue:GetJobRuns and glue:BatchStopJobRun on the job',
    },
    settings,
  );

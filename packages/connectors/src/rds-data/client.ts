import { type AwsService, awsService } from '../aws/service.ts';
import type { AwsSettings } from '../aws/settings.ts';

type Sdk = typeof import('@aws-sdk/client-rds-data');
export type RdsDataService = AwsService<Sdk, InstanceType<Sdk['RDSDataClient']>>;

export const rdsDataService = (settings: AwsSettings): RdsDataService =>
  awsService(
    {
      name: 'RDS Data API',
      package: '@aws-sdk/client-rds-data',
      load: () => import('@aws-sdk/client-rds-data'),
      client: (sdk, configuration) => new sdk.RDSDataClient(configuration),
      grant:
        'rds-data:ExecuteStatement, rds-data:BeginTransaction, rds-data:CommitTransaction and rds-data:RollbackTransaction on the cluster, and secretsmanager:GetSecretValue on the secret',
    },
    settings,
  );

import { type AwsService, awsService } from '../aws/service.ts';
import type { AwsSettings } from '../aws/settings.ts';

type Sdk = typeof import('@aws-sdk/client-redshift-data');
export type RedshiftDataService = AwsService<Sdk, InstanceType<Sdk['RedshiftDataClient']>>;

export const redshiftDataService = (settings: AwsSettings): RedshiftDataService =>
  awsService(
    {
      name: 'Redshift Data API',
      package: '@aws-sdk/client-redshift-data',
      load: () => import('@aws-sdk/client-redshift-data'),
      client: (sdk, configuration) => new sdk.RedshiftDataClient(configuration),
      grant:
        'redshift-data:ExecuteStatement and redshift-data:BatchExecuteStatement on the cluster or workgroup, redshift-data:DescribeStatement, CancelStatement and ListStatements on *, ' +
        'and what it signs in with: secretsmanager:GetSecretValue on the secret, redshift:GetClusterCredentials(WithIAM) or redshift-serverless:GetCredentials',
    },
    settings,
  );

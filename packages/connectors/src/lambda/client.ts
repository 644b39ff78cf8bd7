import { type AwsService, awsService } from '../aws/service.ts';
import type { AwsSettings } from '../aws/settings.ts';

type Sdk = typeof import('@aws-sdk/client-lambda');
export type LambdaService = AwsService<Sdk, InstanceType<Sdk['LambdaClient']>>;

/** A function runs for up to 15 minutes, and its caller waits. */
const answerMs = 16 * 60_000;

export const lambdaService = (settings: AwsSettings): LambdaService =>
  awsService(
    {
      name: 'Lambda',
      package: '@aws-sdk/client-lambda',
      load: () => import('@aws-sdk/client-lambda'),
      client: (sdk, configuration) => new sdk.LambdaClient(configuration),
      grant: 'lambda:InvokeFunction on the function and on function:*',
      answerMs,
    },
    settings,
  );

import { type AwsCall, awsFailure, MillraceError } from '@millrace/core/runtime';

/** The SDK of Step Functions, which is loaded where it is needed and nowhere else. @throws UNSUPPORTED */
export async function loadSfn(): Promise<typeof import('@aws-sdk/client-sfn')> {
  try {
    return await import('@aws-sdk/client-sfn');
  } catch (cause) {
    throw new MillraceError('UNSUPPORTED', {
      message: 'Step Functions is to be called, and the AWS SDK for it is not installed.',
      remedy: 'Install it: npm install @aws-sdk/client-sfn.',
      cause,
    });
  }
}

/** What was asked of Step Functions, and what a role needs for it. */
export type Asked = Pick<AwsCall, 'doing' | 'grant'>;

export const refusal = (error: unknown, asked: Asked): unknown => awsFailure(error, { service: 'Step Functions', ...asked });

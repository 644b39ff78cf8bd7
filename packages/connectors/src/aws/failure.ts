import { type ErrorCode, MillraceError } from '@millrace/core/runtime';

interface AwsError {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export interface FailedCall {
  /** For people: `Glue`. */
  readonly service: string;
  /** A phrase: `starting job nightly`. */
  readonly doing: string;
  /** What to grant where access is denied: `glue:StartJobRun on the job`. */
  readonly grant: string;
}

export const statusOf = (error: unknown): number | undefined => (error as AwsError).$metadata?.httpStatusCode;
export const named = (error: unknown, ...names: readonly string[]): boolean =>
  names.includes((error as AwsError).name ?? '') || names.includes((error as AwsError).code ?? '');

/** What a service of AWS, or the way there, said. Messages of the SDK hold no secrets; its requests do, and are left out. An error that is none of theirs stays as it is. */
export function awsFailure(error: unknown, { service, doing, grant }: FailedCall): unknown {
  if (error instanceof MillraceError) return error;
  const { name = 'Error', code, message = '' } = error as AwsError;
  const status = statusOf(error);
  const make = (is: ErrorCode, why: string, remedy: string) =>
    new MillraceError(is, { message: `${service}, ${doing}: ${why}`, remedy, facts: { doing, service: name, status } });

  if (named(error, 'CredentialsProviderError', 'TokenProviderError')) {
    return make(
      'AUTHENTICATION_FAILED',
      'no credentials were found.',
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or run where a role is attached.',
    );
  }
  if (named(error, ...refusedKeys)) {
    return make(
      'AUTHENTICATION_FAILED',
      `the credentials were refused (${name}).`,
      'Check the access key and its secret, and the clock of this machine.',
    );
  }
  if (/Region is missing/i.test(message))
    return make('CONFIG_INVALID', 'no region is set.', 'Give the connection a region, or set AWS_REGION.');
  if (named(error, ...denied) || status === 403) return make('ACCESS_DENIED', `access was denied. ${said(message)}`, `Grant ${grant}.`);
  if (named(error, ...throttled) || status === 429)
    return make('REMOTE_THROTTLED', `it asks us to slow down (${name}).`, 'Tried again with backoff; lower the concurrency if it repeats.');
  // What stands between may answer in the service's place, with a page of its own.
  if (error instanceof SyntaxError || name === 'SyntaxError')
    return make(
      'REMOTE_UNAVAILABLE',
      'its answer could not be read.',
      'Tried again with backoff; look at proxies and at the endpoint if it repeats.',
    );
  if (named(error, ...busy) || (status ?? 0) >= 500)
    return make(
      'REMOTE_UNAVAILABLE',
      `it answered ${name}${status === undefined ? '' : ` (${status})`}. ${said(message)}`,
      'Tried again with backoff.',
    );
  if (status !== undefined && status >= 400)
    return make('REMOTE_REFUSED', `${name}. ${said(message)}`, 'Correct what the message names: the name, the ARN or the parameter.');
  if (code !== undefined || named(error, 'TimeoutError', 'NetworkingError') || /socket|ECONN|EPIPE|aborted|network|stream/i.test(message)) {
    return make(
      'CONNECTION_FAILED',
      `the connection failed (${code ?? name}).`,
      'Check network, endpoint and proxy; tried again with backoff.',
    );
  }
  return error;
}

const said = (message: string): string => message.slice(0, 400);

const refusedKeys = [
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'TokenRefreshRequired',
  'ExpiredTokenException',
  'InvalidSignatureException',
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'InvalidSecurity',
];

const denied = [
  'AccessDenied',
  'AccessDeniedException',
  'AccessDeniedFault',
  'AuthorizationError',
  'AuthorizationErrorException',
  'AllAccessDisabled',
  'AccountProblem',
];

/** Of all services: what each calls "too much at once". Runs and statements that are too many now end by themselves. */
const throttled = [
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'TooManyRequests',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'LimitExceededException',
  'ProvisionedThroughputExceededException',
  'KMSThrottling',
  'KMSThrottlingFault',
  'EC2ThrottledException',
  'ConcurrentRunsExceededException',
  'ResourceNumberLimitExceededException',
  'ActiveStatementsExceededException',
  'ActiveSessionsExceededException',
];

/** Of all services: what will be otherwise in a while, though the status says that the caller is at fault. */
const busy = [
  'ConcurrentModificationException',
  'DatabaseConnectionException',
  'DatabaseResumingException',
  'DatabaseUnavailableException',
  'ENILimitReachedException',
  'InternalException',
  'InvalidResourceStateFault',
  'ResourceConflictException',
  'ResourceNotReadyException',
  'SnapStartNotReadyException',
  'SnapStartTimeoutException',
];

import type { ErrorCode } from './codes.ts';
import { MillraceError } from './millrace-error.ts';

interface AwsError {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** A call to a service of AWS. */
export interface AwsCall {
  /** For people: `Glue`. */
  readonly service: string;
  /** A phrase: `starting job nightly`. */
  readonly doing: string;
  /** What to grant where access is denied: `glue:StartJobRun on the job`. */
  readonly grant: string;
  /** What it means here that a request was understood and refused; REMOTE_REFUSED where it is left out. */
  readonly refused?: { readonly code: ErrorCode; readonly remedy: string };
}

/** Of the answer; undefined where there was none. */
export const awsStatus = (error: unknown): number | undefined => (error as AwsError).$metadata?.httpStatusCode;
export const isAwsError = (error: unknown, ...names: readonly string[]): boolean =>
  names.includes((error as AwsError).name ?? '') || names.includes((error as AwsError).code ?? '');

/**
 * What a service of AWS, or the way there, said, known by the form of the SDK's errors. Their messages hold no secrets; requests do, and are left
 * out. An error that is none of theirs stays as it is.
 */
export function awsFailure(error: unknown, { service, doing, grant, refused }: AwsCall): unknown {
  if (error instanceof MillraceError) return error;
  const { name = 'Error', code, message = '' } = error as AwsError;
  const status = awsStatus(error);
  const make = (is: ErrorCode, why: string, remedy: string) =>
    new MillraceError(is, { message: `${service}, ${doing}: ${why}`, remedy, facts: { doing, service: name, status } });

  if (isAwsError(error, 'CredentialsProviderError', 'TokenProviderError')) {
    return make(
      'AUTHENTICATION_FAILED',
      'no AWS credentials were found.',
      'Run where a role is attached, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
    );
  }
  if (isAwsError(error, ...refusedKeys)) {
    return make(
      'AUTHENTICATION_FAILED',
      `the AWS credentials were refused (${name}).`,
      'Get new ones, and look at the clock of this machine.',
    );
  }
  if (/Region is missing/i.test(message))
    return make('CONFIG_INVALID', 'no region is set.', 'Set AWS_REGION, or give a region where the service is named.');
  if (isAwsError(error, ...denied) || status === 403)
    return make('ACCESS_DENIED', `access was denied. ${said(message)}`, `Grant ${grant}.`);
  if (isAwsError(error, ...throttled) || status === 429)
    return make('REMOTE_THROTTLED', `it asks us to slow down (${name}).`, 'Tried again with backoff; lower the concurrency if it repeats.');
  // What stands between may answer in the service's place, with a page of its own.
  if (error instanceof SyntaxError || name === 'SyntaxError')
    return make(
      'REMOTE_UNAVAILABLE',
      'its answer could not be read.',
      'Tried again with backoff; look at proxies and at the endpoint if it repeats.',
    );
  if (isAwsError(error, ...busy) || (status ?? 0) >= 500)
    return make(
      'REMOTE_UNAVAILABLE',
      `it answered ${name}${status === undefined ? '' : ` (${status})`}. ${said(message)}`,
      'Tried again with backoff.',
    );
  if (status !== undefined && status >= 400)
    return make(
      refused?.code ?? 'REMOTE_REFUSED',
      `${name}. ${said(message)}`,
      refused?.remedy ?? 'Correct what the message names: the name, the ARN or the parameter.',
    );
  if (
    code !== undefined ||
    isAwsError(error, 'TimeoutError', 'NetworkingError') ||
    /socket|ECONN|EPIPE|aborted|network|stream/i.test(message)
  ) {
    return make(
      'CONNECTION_FAILED',
      `the connection failed (${code ?? name}).`,
      'Check network, region, endpoint and proxy; private subnets need a NAT gateway or an interface endpoint for the service. Tried again with backoff.',
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
  'IncompleteSignature',
  'IncompleteSignatureException',
  'InvalidSignatureException',
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'InvalidSecurity',
  'RequestExpired',
];

const denied = [
  'AccessDenied',
  'AccessDeniedException',
  'AccessDeniedFault',
  'AuthorizationError',
  'AuthorizationErrorException',
  'AllAccessDisabled',
  'AccountProblem',
  'DecryptionFailure',
  'InvalidKeyId',
  'KMSAccessDeniedException',
  'KMSAccessDeniedFault',
  'NotAuthorized',
  'NotAuthorizedException',
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
  'ExecutionLimitExceeded',
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

import { MillraceError } from '@millrace/core/runtime';

interface AwsError {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const status = (error: unknown): number | undefined => (error as AwsError).$metadata?.httpStatusCode;
const named = (error: unknown, ...names: string[]): boolean =>
  names.includes((error as AwsError).name ?? '') || names.includes((error as AwsError).code ?? '');

export const isMissing = (error: unknown): boolean =>
  named(error, 'NoSuchKey', 'NotFound') || (status(error) === 404 && !named(error, 'NoSuchBucket', 'NoSuchUpload'));
/** If-None-Match: somebody was first. */
export const isTaken = (error: unknown): boolean => named(error, 'PreconditionFailed') || status(error) === 412;
/** Two writers at the same moment; the one that is told so may ask again. */
export const isConflict = (error: unknown): boolean =>
  named(error, 'ConditionalRequestConflict', 'OperationAborted') || status(error) === 409;

/** What S3, or the way there, said. `doing` is a phrase: `reading s3://bucket/key`. Messages of the SDK hold no secrets; its requests do, and are left out. */
export function awsFailure(error: unknown, doing: string): unknown {
  if (error instanceof MillraceError) return error;
  const { name = 'Error', code, message = '' } = error as AwsError;
  const facts = { doing, service: name, status: status(error) };
  const make = (is: ConstructorParameters<typeof MillraceError>[0], why: string, remedy: string) =>
    new MillraceError(is, { message: `S3, ${doing}: ${why}`, remedy, facts });

  if (named(error, 'CredentialsProviderError', 'TokenProviderError')) {
    return make(
      'AUTHENTICATION_FAILED',
      'no credentials were found.',
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or run where a role is attached.',
    );
  }
  if (
    named(
      error,
      'InvalidAccessKeyId',
      'SignatureDoesNotMatch',
      'ExpiredToken',
      'InvalidToken',
      'TokenRefreshRequired',
      'ExpiredTokenException',
    )
  ) {
    return make(
      'AUTHENTICATION_FAILED',
      `the credentials were refused (${name}).`,
      'Check the access key and its secret, and the clock of this machine.',
    );
  }
  if (/Region is missing/i.test(message)) return make('CONFIG_INVALID', 'no region is set.', 'Give s3() a region, or set AWS_REGION.');
  if (named(error, 'NoSuchBucket'))
    return make('CONFIG_INVALID', 'there is no such bucket.', 'Check the bucket name in the URL, or create the bucket.');
  if (named(error, 'PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException')) {
    return make('CONFIG_INVALID', 'the bucket is in another region.', 'Give s3() the region of the bucket.');
  }
  if (named(error, 'AccessDenied', 'AllAccessDisabled', 'AccountProblem') || status(error) === 403) {
    return make(
      'ACCESS_DENIED',
      'access was denied.',
      'Grant s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload on the prefix and s3:ListBucket on the bucket.',
    );
  }
  if (named(error, 'SlowDown', 'Throttling', 'ThrottlingException', 'TooManyRequests', 'RequestLimitExceeded') || status(error) === 429) {
    return make('REMOTE_THROTTLED', 'it asks us to slow down.', 'Tried again with backoff; lower the concurrency if it repeats.');
  }
  if ((status(error) ?? 0) >= 500)
    return make('REMOTE_UNAVAILABLE', `it answered ${status(error)} (${name}).`, 'Tried again with backoff.');
  if (named(error, 'BadDigest', 'IncompleteBody', 'InvalidDigest', 'XAmzContentSHA256Mismatch', 'RequestTimeout')) {
    return make('REMOTE_UNAVAILABLE', `the upload was damaged on its way (${name}).`, 'Tried again.');
  }
  if (
    code !== undefined ||
    named(error, 'TimeoutError', 'NetworkingError', 'Error') ||
    /socket|ECONN|EPIPE|aborted|network|stream/i.test(message)
  ) {
    return make(
      'CONNECTION_FAILED',
      `the connection failed (${code ?? name}).`,
      'Check network, endpoint and proxy; tried again with backoff.',
    );
  }
  return make('REMOTE_UNAVAILABLE', `${name}: ${message.slice(0, 200)}`, 'Tried again with backoff.');
}

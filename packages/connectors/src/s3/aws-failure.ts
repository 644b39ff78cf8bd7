import { awsStatus, awsFailure as failureOfAws, isAwsError, MillraceError } from '@millrace/core/runtime';

export const isMissing = (error: unknown): boolean =>
  isAwsError(error, 'NoSuchKey', 'NotFound') || (awsStatus(error) === 404 && !isAwsError(error, 'NoSuchBucket', 'NoSuchUpload'));
/** If-None-Match: somebody was first. */
export const isTaken = (error: unknown): boolean => isAwsError(error, 'PreconditionFailed') || awsStatus(error) === 412;
/** Two writers at the same moment; the one that is told so may ask again. */
export const isConflict = (error: unknown): boolean =>
  isAwsError(error, 'ConditionalRequestConflict', 'OperationAborted') || awsStatus(error) === 409;

const grant = 's3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload on the prefix and s3:ListBucket on the bucket';

/** What S3, or the way there, said. `doing` is a phrase: `reading s3://bucket/key`. Stores that are not AWS's say much that has no name here: that is tried again. */
export function awsFailure(error: unknown, doing: string): unknown {
  if (error instanceof MillraceError) return error;
  const { name = 'Error', message = '' } = error as Partial<Error>;
  const make = (is: ConstructorParameters<typeof MillraceError>[0], why: string, remedy: string) =>
    new MillraceError(is, { message: `S3, ${doing}: ${why}`, remedy, facts: { doing, service: name, status: awsStatus(error) } });

  if (isAwsError(error, 'NoSuchBucket'))
    return make('CONFIG_INVALID', 'there is no such bucket.', 'Check the bucket name in the URL, or create the bucket.');
  if (isAwsError(error, 'PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'))
    return make('CONFIG_INVALID', 'the bucket is in another region.', 'Give s3() the region of the bucket.');
  if (isAwsError(error, 'BadDigest', 'IncompleteBody', 'InvalidDigest', 'XAmzContentSHA256Mismatch', 'RequestTimeout'))
    return make('REMOTE_UNAVAILABLE', `the upload was damaged on its way (${name}).`, 'Tried again.');
  const failure = failureOfAws(error, { service: 'S3', doing, grant });
  if (failure instanceof MillraceError && failure.code !== 'REMOTE_REFUSED') return failure;
  if (name === 'Error')
    return make('CONNECTION_FAILED', 'the connection failed.', 'Check network, endpoint and proxy; tried again with backoff.');
  return make('REMOTE_UNAVAILABLE', `${name}: ${message.slice(0, 200)}`, 'Tried again with backoff.');
}

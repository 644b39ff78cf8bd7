import { type ErrorCode, MillraceError } from '@millrace/core/runtime';

/** What was asked of Step Functions, for people, and what a role needs for it. */
export interface Asked {
  /** A phrase: `starting run 20261121T203612-k3x9f2`. */
  readonly doing: string;
  /** `states:StartExecution on the state machine`. */
  readonly grant: string;
}

interface AwsError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export const isNamed = (error: unknown, ...names: readonly string[]): boolean => names.includes((error as AwsError).name ?? '');

/** What Step Functions, or the way there, has said. An error that is none of theirs stays as it is. */
export function refusal(error: unknown, { doing, grant }: Asked): unknown {
  const { name = 'Error', message = '', code, $metadata } = error as AwsError;
  if (error instanceof MillraceError || name === 'AbortError') return error;
  const status = $metadata?.httpStatusCode;
  const make = (is: ErrorCode, why: string, remedy: string): MillraceError =>
    new MillraceError(is, { message: `Step Functions, ${doing}: ${why}`, remedy, facts: { doing, service: name, status } });
  if (/CredentialsProviderError|TokenProviderError/.test(name))
    return make(
      'AUTHENTICATION_FAILED',
      'no AWS credentials were found.',
      'Run where a role is attached, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
    );
  if (/UnrecognizedClient|InvalidSignature|SignatureDoesNotMatch|ExpiredToken|InvalidClientTokenId|IncompleteSignature/.test(name))
    return make(
      'AUTHENTICATION_FAILED',
      `the AWS credentials were refused (${name}).`,
      'Get new ones, and look at the clock of this machine.',
    );
  if (/AccessDenied|NotAuthorized/.test(name) || status === 403) return make('ACCESS_DENIED', message || name, `Grant ${grant}.`);
  if (/Throttl|TooManyRequests|ExecutionLimitExceeded/.test(name) || status === 429)
    return make('REMOTE_THROTTLED', `it asks us to slow down, again and again (${name}).`, 'Try again in a while.');
  if ((status ?? 0) >= 500) return make('REMOTE_UNAVAILABLE', `it answered ${status} (${name}).`, 'Try again in a while.');
  if (status !== undefined) return make('REMOTE_REFUSED', `${name}. ${message.slice(0, 400)}`, 'The message is what Step Functions says.');
  if (code !== undefined || /Timeout|Networking/.test(name))
    return make('CONNECTION_FAILED', `it cannot be reached (${code ?? name}).`, 'Check network, region and proxy.');
  return error;
}

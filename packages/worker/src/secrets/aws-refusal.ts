import { type ErrorCode, MillraceError } from '@millrace/core/runtime';

export interface Asked {
  /** `Secrets Manager`. */
  readonly service: string;
  /** `the secret "prod/shop"`. */
  readonly what: string;
  /** What a role needs for it. */
  readonly allow: string;
}

/** The SDK itself tries again where it was throttled, with growing pauses. */
export const clientSettings = (region: string | undefined) => ({
  ...(region !== undefined && { region }),
  maxAttempts: 5,
  requestHandler: { connectionTimeout: 5_000, requestTimeout: 15_000, throwOnRequestTimeout: true },
});

/** What a service that keeps secrets, or the way there, has said. Its messages name roles and resources, never values. */
export function awsRefusal(error: unknown, { service, what, allow }: Asked): MillraceError {
  if (error instanceof MillraceError) return error;
  const { name = 'Error', message = '', code, $metadata } = error as AwsError;
  const status = $metadata?.httpStatusCode;
  const make = (is: ErrorCode, why: string, remedy: string) =>
    new MillraceError(is, { message: `${service}, ${what}: ${why}`, remedy, facts: { service, reason: name, status } });

  if (/CredentialsProviderError|TokenProviderError/.test(name))
    return make(
      'AUTHENTICATION_FAILED',
      'no AWS credentials were found.',
      'Run where a role is attached, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
    );
  if (/UnrecognizedClient|InvalidSignature|ExpiredToken|InvalidClientTokenId|IncompleteSignature|RequestExpired/.test(name))
    return make(
      'AUTHENTICATION_FAILED',
      `the AWS credentials were refused (${name}).`,
      'Get new ones, and look at the clock of this machine.',
    );
  if (/Region is missing/i.test(message))
    return make('CONFIG_INVALID', 'no region is set.', 'Set AWS_REGION, or give the "secrets" of the environment a region.');
  if (/AccessDenied|DecryptionFailure|InvalidKeyId|KMS/i.test(name) || status === 403)
    return make('ACCESS_DENIED', message || name, `Allow the role of this process ${allow}.`);
  if (/Throttl|TooManyRequests|LimitExceeded/.test(name) || status === 429)
    return make(
      'REMOTE_THROTTLED',
      'it asks us to slow down.',
      'Tried again with backoff; each process asks once in five minutes for what it uses.',
    );
  if ((status ?? 0) >= 500) return make('REMOTE_UNAVAILABLE', `it answered ${status} (${name}).`, 'Tried again with backoff.');
  if (status === undefined)
    return make(
      'CONNECTION_FAILED',
      `it cannot be reached (${code ?? name}).`,
      'Private subnets need a NAT gateway or an interface endpoint for the service. Tried again with backoff.',
    );
  return make('SECRET_MISSING', message || name, 'Check its name, and that it is not about to be deleted.');
}

interface AwsError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export function missingPackage(service: string, name: string, cause: unknown): MillraceError {
  return new MillraceError('CONFIG_INVALID', {
    message: `Secrets come from AWS ${service}, and the package ${name} is not installed.`,
    remedy: `Run "npm install ${name}".`,
    cause,
  });
}

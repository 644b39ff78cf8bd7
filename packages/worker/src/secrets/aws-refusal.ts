import { type AwsCall, awsFailure, MillraceError } from '@millrace/core/runtime';

/** The SDK itself tries again where it was throttled, with growing pauses. */
export const clientSettings = (region: string | undefined) => ({
  ...(region !== undefined && { region }),
  maxAttempts: 5,
  requestHandler: { connectionTimeout: 5_000, requestTimeout: 15_000, throwOnRequestTimeout: true },
});

/** What a service that keeps secrets, or the way there, has said. Its messages name roles and resources, never values. */
export const awsRefusal = (error: unknown, call: Omit<AwsCall, 'refused'>): unknown =>
  awsFailure(error, { ...call, refused: { code: 'SECRET_MISSING', remedy: 'Check its name, and that it is not about to be deleted.' } });

export function missingPackage(service: string, name: string, cause: unknown): MillraceError {
  return new MillraceError('CONFIG_INVALID', {
    message: `Secrets come from AWS ${service}, and the package ${name} is not installed.`,
    remedy: `Run "npm install ${name}".`,
    cause,
  });
}

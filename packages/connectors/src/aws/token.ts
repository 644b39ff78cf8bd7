import type { Signer } from '@aws-sdk/rds-signer';
import { MillraceError } from '@millrace/core/runtime';

export interface TokenRequest {
  /** The endpoint's own name: a token for an alias of it is refused. */
  readonly hostname: string;
  readonly port: number;
  readonly username: string;
  readonly region: string;
}

/** One for each user and place: they share no state, but each remembers the credentials of the process until these expire. */
const signers = new Map<string, Signer>();

/**
 * A password for a user who logs in by IAM, good for 15 minutes and only under TLS. It is signed here: nothing is asked of AWS beyond
 * the credentials of this process.
 *
 * @throws CONFIG_INVALID without the package `@aws-sdk/rds-signer`, AUTHENTICATION_FAILED without credentials
 */
export async function databaseToken(request: TokenRequest): Promise<string> {
  const key = JSON.stringify(request);
  try {
    const signer = signers.get(key) ?? new (await sdk()).Signer(request);
    signers.set(key, signer);
    return await signer.getAuthToken();
  } catch (error) {
    if (error instanceof MillraceError) throw error;
    throw new MillraceError('AUTHENTICATION_FAILED', {
      message: `No token could be signed for user "${request.username}" at ${request.hostname}: ${(error as Error).message}`,
      remedy: 'Run where a role is attached, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
      facts: { user: request.username, host: request.hostname },
    });
  }
}

async function sdk(): Promise<typeof import('@aws-sdk/rds-signer')> {
  try {
    return await import('@aws-sdk/rds-signer');
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 'A connection logs in by IAM, and the package @aws-sdk/rds-signer is not installed.',
      remedy: 'Run "npm install @aws-sdk/rds-signer".',
      cause,
    });
  }
}

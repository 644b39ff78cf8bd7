import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { SftpPlace } from './place.ts';

/** Codes of SSH_FXP_STATUS: draft-ietf-secsh-filexfer-02, 7. */
export const status = { eof: 1, noSuchFile: 2, permissionDenied: 3 } as const;

export const isMissing = (error: unknown): boolean =>
  (error as { code?: unknown }).code === status.noSuchFile || (isMillraceError(error) && error.facts['status'] === status.noSuchFile);

/** What the server said of a call. */
export function opFailure(error: unknown, doing: string, { host, user }: SftpPlace): unknown {
  if (isMillraceError(error)) return error;
  const { code, message = '' } = error as { code?: number; message?: string };
  const facts = { host, doing, status: code };
  // What a terminal would take for orders is none of a message.
  const text = message.replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 200);
  if (code === status.permissionDenied)
    return new MillraceError('ACCESS_DENIED', {
      message: `${host}, ${doing}: user "${user}" may not.`,
      remedy: 'Give the user the right to list the directory and to read the files.',
      facts,
    });
  if (code === status.noSuchFile)
    return new MillraceError('TABLE_MISSING', {
      message: `${host}, ${doing}: there is no such file.`,
      remedy: 'Check the directory in url.',
      facts,
    });
  return new MillraceError('REMOTE_UNAVAILABLE', { message: `${host}, ${doing}: ${text}`, remedy: 'Tried again with backoff.', facts });
}

/** Why there is no connection, or no more. */
export function lostFailure(error: unknown, { host, port, user }: SftpPlace): unknown {
  if (isMillraceError(error)) return error;
  const { level, code, message = '' } = (error ?? {}) as { level?: string; code?: string; message?: string };
  if (level === 'client-authentication')
    return new MillraceError('AUTHENTICATION_FAILED', {
      message: `${host} refused user "${user}".`,
      remedy: 'Check the user in url and the secrets of password or privateKey.',
      facts: { host, user },
    });
  if (/privateKey|passphrase/i.test(message))
    return new MillraceError('CONFIG_INVALID', {
      message: 'The private key for SFTP cannot be read.',
      remedy: 'Give privateKey the key itself, in the form of OpenSSH or PEM, and passphrase where it has one.',
    });
  return new MillraceError('CONNECTION_FAILED', {
    message: `The connection to ${host}:${port} ${error === undefined ? 'was closed' : `failed (${code ?? (message.slice(0, 200) || 'closed')})`}.`,
    remedy: 'Check host, port and network; tried again with backoff.',
    facts: { host, port },
  });
}

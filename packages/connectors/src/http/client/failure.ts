import type { IncomingMessage } from 'node:http';
import { type ErrorCode, MillraceError } from '@millrace/core/runtime';
import { textOf } from './body.ts';
import { InsideAddress } from './exchange.ts';
import { isUsedUp } from './wait.ts';

/** Why a request failed, as an error of ours without its place, and whether the same may work in a moment. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly why: string;
  readonly remedy: string;
  readonly passes: boolean;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What a status other than 2xx means. Reads the answer, for what it says. */
export async function refusalOf(response: IncomingMessage): Promise<Refusal> {
  const status = response.statusCode ?? 0;
  const said = told(await textOf(response, 4_000).catch(() => ''));
  const of = (code: ErrorCode, why: string, remedy: string, passes = false): Refusal => ({
    code,
    why: `${why} (${status})${said === '' ? '.' : `: ${said}`}`,
    remedy,
    passes,
    facts: { status },
  });
  if (status === 429 || (status === 403 && (response.headers['retry-after'] !== undefined || isUsedUp(response.headers))))
    return of(
      'REMOTE_THROTTLED',
      'it asked us to slow down',
      'Give http() the rate that the API allows: rate: { requests: 10, per: "1s" }.',
      true,
    );
  if (status === 401) return of('AUTHENTICATION_FAILED', 'the credentials were refused', 'Check the secrets that auth names.');
  if (status === 403) return of('ACCESS_DENIED', 'these credentials may not do it', 'Give the user, key or client the right to read it.');
  if (status === 407) return of('AUTHENTICATION_FAILED', 'a proxy asks for credentials', 'Let the host be reached without the proxy.');
  if (status === 404 || status === 410) return of('REMOTE_REFUSED', 'there is no such thing', 'Check url and path.');
  if (status === 408 || status === 425 || status === 409 || status === 423)
    return of('REMOTE_UNAVAILABLE', 'it cannot now', 'Tried again with backoff.', true);
  if (status >= 500 && status !== 501 && status !== 505)
    return of('REMOTE_UNAVAILABLE', 'it answered with an error', 'Tried again with backoff.', true);
  if (status === 304 || (status >= 300 && status < 400))
    return of('REMOTE_REFUSED', 'it answered with a redirect that leads nowhere', 'Give http() the URL where the API is.');
  return of('REMOTE_REFUSED', 'it does not accept the request', 'Correct what the message names: path, query or body.');
}

/** Of what an API says, as much as a message can hold, on one line and without what a terminal would take for orders. */
export const told = (text: string): string =>
  text
    .replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
    .slice(0, 400);

/** What went wrong on the way. Null for what is no failure of the network. */
export function wayFailure(error: unknown): Refusal | null {
  if (error instanceof InsideAddress)
    return {
      code: 'REMOTE_REFUSED',
      why: 'the name of the host leads to an address inside this network. Nothing was sent there.',
      remedy: 'Where that is right, make it the url of a connection of its own.',
      passes: false,
      facts: {},
    };
  const { code, message = '', syscall } = error as NodeJS.ErrnoException;
  if (code !== undefined && certificate.test(code))
    return {
      code: 'CERTIFICATE_REFUSED',
      why: `its certificate was refused (${code}).`,
      remedy: 'Name the authority that has signed it: http({ tls: { ca: secret("API_CA") } }).',
      passes: false,
      facts: { reason: code },
    };
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return {
      code: 'DISK_FULL',
      why: 'no space is left for what it answers.',
      remedy: 'Free space for temporary files.',
      passes: false,
      facts: { reason: code },
    };
  if (code === 'ERR_INVALID_CHAR' || code === 'ERR_INVALID_HTTP_TOKEN')
    return {
      code: 'CONFIG_INVALID',
      why: `the request cannot be sent: ${message}.`,
      remedy: 'Correct headers or auth. A secret may end in a line break: store it without.',
      passes: false,
      facts: { reason: code },
    };
  if (code !== undefined && ofFiles.test(code) && syscall !== 'connect') return null;
  if (code === undefined && !/aborted|socket hang up|unexpected end of file/i.test(message)) return null;
  if (code === 'ABORT_ERR' || code?.startsWith('ERR_INVALID_')) return null;
  return {
    code: 'CONNECTION_FAILED',
    why: `the connection failed (${code ?? message}).`,
    remedy: 'Check host, port, network and proxy; tried again with backoff.',
    passes: true,
    facts: { reason: code ?? message },
  };
}

const ofFiles = /^(EACCES|EPERM|EROFS|EIO|EISDIR|EEXIST|ENOENT|EBADF|EFBIG)$/;
const certificate = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/;

export const failureAt = (doing: string, { code, why, remedy, facts }: Refusal): MillraceError =>
  new MillraceError(code, { message: `${doing}: ${why}`, remedy, facts });

import { type ErrorCode, isMillraceError, MillraceError } from '@millrace/core/runtime';

/** What a node said instead of an answer. */
export class Refusal extends Error {}

type Meaning = readonly [pattern: RegExp, code: ErrorCode, says: string, remedy: string];

const meanings: readonly Meaning[] = [
  [
    /CLIENT_ERROR (authentication|unauthenticated)/,
    'AUTHENTICATION_FAILED',
    'does not let this user in',
    'Check user and password in the URL.',
  ],
  [/object too large/, 'VALUE_UNREPRESENTABLE', 'takes no value that is so large', 'Keep fewer columns, or raise its largest item (-I).'],
  [/out of memory/, 'DISK_FULL', 'has no memory for it', 'Give it more memory (-m).'],
  [
    /CERT|self.signed|unable to verify|ALTNAME|local issuer/i,
    'CERTIFICATE_REFUSED',
    'has a certificate that is not trusted here',
    'Give its authority as `ca`, and use the host name that the certificate is for.',
  ],
  [
    /^(ERROR|CLIENT_ERROR|SERVER_ERROR)/,
    'REMOTE_REFUSED',
    'refuses a command',
    'It must be a Memcached of 1.4 or later that speaks its text protocol.',
  ],
];

const away: Meaning = [
  /^/,
  'CONNECTION_FAILED',
  'cannot be reached',
  'Look whether it runs, and whether this machine may connect to it (host, port, TLS, security group).',
];

/** What a node, or the way there, said. No command is in it: those have rows, and that which logs in the password, which a node may repeat. */
export function memcachedFailure(error: unknown, place: string, password: string | null = null): MillraceError {
  if (isMillraceError(error)) return error;
  const { code = '', message: said = String(error) } = error as { code?: string; message?: string };
  const message = password === null || password.length < 3 ? said : said.replaceAll(password, '***');
  const text = error instanceof Refusal ? message : `${code} ${message}`;
  const [, means, says, remedy] = meanings.find(([pattern]) => pattern.test(text)) ?? away;
  return new MillraceError(means, {
    message: `Memcached at ${place} ${says}: ${message.slice(0, 400)}`,
    remedy,
    facts: { place },
    cause: new Error(message.slice(0, 400)),
  });
}

export const fenced = (owner: string, by: string): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `A newer attempt keeps the keys of ${owner} (${by}).`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { owner, by },
  });

/** A node does not remember, or remembers something else: it was restarted, or has thrown it away. */
export const lost = (owner: string, place: string): MillraceError =>
  new MillraceError('CACHE_LOST', {
    message: `Memcached at ${place} does not remember what it had of ${owner}.`,
    remedy: 'The next attempt empties it and goes on.',
    facts: { owner, place },
  });

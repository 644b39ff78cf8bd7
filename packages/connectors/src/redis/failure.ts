import { type ErrorCode, isMillraceError, MillraceError } from '@millrace/core/runtime';

type Meaning = readonly [pattern: RegExp, code: ErrorCode, says: string, remedy: string];

const meanings: readonly Meaning[] = [
  [
    /WRONGPASS|NOAUTH|invalid password|AUTH <password> called/i,
    'AUTHENTICATION_FAILED',
    'does not let this user in',
    'Check user and password in the URL.',
  ],
  [
    /NOPERM/,
    'ACCESS_DENIED',
    'refuses a command to this user',
    'Let the user read, write and run scripts on the keys of the pipeline and on millrace:*, and run INFO, SCAN, TYPE and WAIT.',
  ],
  [
    /DENIED/,
    'ACCESS_DENIED',
    'is in protected mode and answers nobody from another machine',
    'Set a password or an ACL there, and write it into the URL.',
  ],
  [/max number of clients/, 'CONNECTION_LIMIT', 'has no free connection', 'Raise maxclients, or find out who holds them: CLIENT LIST.'],
  [/DB index|SELECT is not allowed/, 'CONFIG_INVALID', 'has no such database', 'Leave out the number at the end of the URL.'],
  [
    /CERT|self.signed|unable to verify|ALTNAME|local issuer/i,
    'CERTIFICATE_REFUSED',
    'has a certificate that is not trusted here',
    'Give its authority as `ca`, and use the host name that the certificate is for.',
  ],
  [/\bOOM\b/, 'DISK_FULL', 'is full: maxmemory is reached, and nothing may be evicted', 'Give it more memory, or give the rows a ttl.'],
  [
    /CROSSSLOT|MOVED|cluster support disabled/,
    'CONFIG_INVALID',
    'is not of the kind that the connection says',
    'Set `cluster` of redis() as the server is.',
  ],
  [/WRONGTYPE/, 'CHANGE_REFUSED', 'has something of another kind under one of the keys', 'Delete that key, or give the rows other keys.'],
  [/LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS/, 'REMOTE_UNAVAILABLE', 'cannot answer just now', 'Tried again with backoff.'],
  [/READONLY/, 'CONNECTION_FAILED', 'is a replica now, which only reads', 'Use the address of the primary; tried again with backoff.'],
];

const away: Meaning = [
  /^/,
  'CONNECTION_FAILED',
  'cannot be reached',
  'Look whether it runs, and whether this machine may connect to it (host, port, TLS, security group).',
];

/**
 * What Redis, or the way there, said. Its cause has no command in it: those have rows, and that of AUTH the password, which a Redis that does not know
 * a command repeats as well.
 */
export function redisFailure(error: unknown, place: string, password: string | null = null): MillraceError {
  if (isMillraceError(error)) return error;
  const { code = '', message: said = String(error) } = error as { code?: string; message?: string };
  const message = without(said, password).replace(/(, with args beginning with:).*$/s, '$1 …');
  const [, means, says, remedy] = meanings.find(([pattern]) => pattern.test(`${code} ${message}`)) ?? away;
  return new MillraceError(means, {
    message: `Redis at ${place} ${says}: ${message.slice(0, 400)}`,
    remedy,
    facts: { place },
    cause: new Error(message.slice(0, 400)),
  });
}

const without = (text: string, password: string | null): string =>
  password === null || password.length < 3 ? text : text.replaceAll(password, '***');

export const fenced = (key: string, by: string): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `A newer attempt writes to the keys of ${key} (${by}).`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { key, by },
  });

/** What this attempt has written, or where it was in the stream, is not there any more. */
export const lost = (key: string, place: string, how: string): MillraceError =>
  new MillraceError('CACHE_LOST', {
    message: `Redis at ${place} ${how} what it had of ${key}.`,
    remedy: 'The next attempt copies what is missing. Turn persistence on there, or set `replicas`, where that is too dear.',
    facts: { key, place },
  });

export const noSortedSet = (key: string, place: string): MillraceError =>
  new MillraceError('CHANGE_REFUSED', {
    message: `"${key}" in Redis at ${place} is no sorted set.`,
    remedy: 'Delete that key, or give the sorted set another one.',
    facts: { key },
  });

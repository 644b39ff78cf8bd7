import { connect as connectPlain, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { type ErrorCode, MillraceError } from '@millrace/core/runtime';
import { placeOf, speaksTls } from './redis-client.ts';

interface Meaning {
  readonly code: ErrorCode;
  /** Stands after the name of the place. */
  readonly says: string;
  readonly remedy: string;
}

const meanings: readonly (readonly [pattern: RegExp, meaning: Meaning])[] = [
  [
    /WRONGPASS|NOAUTH|invalid password|AUTH <password> called without/i,
    { code: 'AUTHENTICATION_FAILED', says: 'does not let this user in', remedy: 'Check user and password in the URL of the queue.' },
  ],
  [
    /NOPERM/,
    {
      code: 'ACCESS_DENIED',
      says: 'refuses a command to this user',
      remedy:
        'Let the user run commands and scripts on the keys of the queue: ACL SETUSER … ~{millrace:*}* +@all -@admin -@dangerous +info.',
    },
  ],
  [
    /DENIED/,
    {
      code: 'ACCESS_DENIED',
      says: 'is in protected mode and answers nobody from another machine',
      remedy: 'Set a password (requirepass) or an ACL there, and write it into the URL.',
    },
  ],
  [
    /max number of clients/,
    { code: 'CONNECTION_LIMIT', says: 'has no free connection', remedy: 'Raise maxclients, or find out who holds them: CLIENT LIST.' },
  ],
  [
    /DB index|SELECT is not allowed/,
    { code: 'CONFIG_INVALID', says: 'has no such database', remedy: 'Leave out the number at the end of the URL.' },
  ],
  [
    /CERT|self.signed|unable to verify|ALTNAME|local issuer/i,
    {
      code: 'CONFIG_INVALID',
      says: 'has a certificate that is not trusted here',
      remedy: 'Name the file of its certificate authority in NODE_EXTRA_CA_CERTS, and use the host name that the certificate is for.',
    },
  ],
];
const away: Meaning = {
  code: 'CONNECTION_FAILED',
  says: 'cannot be reached',
  remedy: 'Look whether it runs, and whether this machine may connect to it (host, port, security group).',
};
const tlsOnly: Meaning = { code: 'CONFIG_INVALID', says: 'speaks TLS only', remedy: 'Write rediss:// in place of redis://.' };
const noTls: Meaning = {
  code: 'CONFIG_INVALID',
  says: 'does not speak TLS',
  remedy: 'Write redis:// in place of rediss://, or turn TLS on there.',
};
const probeMs = 3_000;

/** What Redis or the way to it has against us, as an error of ours. Its cause has no command in it: that of AUTH has the password. */
export async function redisRefusal(error: unknown, url: URL): Promise<MillraceError> {
  const { code = '', message = String(error) } = error as { code?: string; message?: string };
  const text = `${code} ${message}`;
  const meaning = meanings.find(([pattern]) => pattern.test(text))?.[1] ?? (await mismatch(url, text)) ?? away;
  return new MillraceError(meaning.code, {
    message: `Redis at ${placeOf(url)} ${meaning.says}: ${message}`,
    remedy: meaning.remedy,
    facts: { place: placeOf(url) },
    cause: new Error(message),
  });
}

/** Neither side says that it does not understand the other: it hangs up, or waits for more. So the other way is tried. */
async function mismatch(url: URL, text: string): Promise<Meaning | undefined> {
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|LOADING/.test(text)) return undefined;
  if (speaksTls(url)) return (await plainThere(url)) ? noTls : undefined;
  return (await tlsThere(url)) ? tlsOnly : undefined;
}

const addressOf = ({ hostname, port }: URL) => ({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) });

/** Whether somebody completes a TLS handshake there; whoever it is. */
const tlsThere = (url: URL): Promise<boolean> =>
  probed((tell) => {
    const socket = connect({ ...addressOf(url), rejectUnauthorized: false });
    return socket.on('secureConnect', () => tell(true));
  });

/** Whether somebody answers as a Redis does, be it that a password is missing. */
const plainThere = (url: URL): Promise<boolean> =>
  probed((tell) => {
    const socket = connectPlain(addressOf(url), () => socket.write('PING\r\n'));
    return socket.on('data', (data) => tell(/^[+-][A-Z]/.test(data.toString('latin1'))));
  });

function probed(open: (tell: (there: boolean) => void) => Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = open((there) => {
      resolve(there);
      socket.destroy();
    });
    socket.setTimeout(probeMs, () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', () => resolve(false));
  });
}

import { type ErrorCode, isMillraceError, MillraceError } from '@millrace/core/runtime';
import { ServerRefusal, WireFailure } from './wire/refusal.ts';

/** What is known about the place of an error. Nothing here may be secret. */
export interface Place {
  /** The connection as plans show it. */
  readonly label: string;
  readonly user: string;
  readonly database: string;
  /** The table or statement at work, where the caller knows it better than the server says. */
  readonly object?: string;
  /** Text that must not appear in a message: the password. */
  readonly hidden?: string;
  /** The session was opened to write. */
  readonly writer?: boolean;
  /** The password was a token of IAM. */
  readonly byToken?: boolean;
  /** Where the authorities are to be had by which the server's certificate was looked at, where those were the ones that come with us. */
  readonly bundle?: string;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly remedy: (place: Place) => string;
}

const on = (place: Place): string => place.object ?? 'the object that the message names';
const again: Meaning['remedy'] = () => 'Nothing to do: it is tried again with backoff. If it stays, look at the server and the way to it.';
const writerRemedy =
  'After a failover the name of the writer leads to the new one within seconds, and it is tried again. If it stays, name the writer in the URL (of Aurora the cluster endpoint), and look at read_only.';

const many = (numbers: readonly number[], meaning: Meaning): Record<number, Meaning> =>
  Object.fromEntries(numbers.map((number) => [number, meaning]));

/**
 * The server's error numbers, which say more than its SQLSTATEs.
 * Sources: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, https://mariadb.com/kb/en/mariadb-error-code-reference/
 */
const numbers: Readonly<Record<number, Meaning>> = {
  ...many([1045, 1698, 1251, 1524, 3118, 3955, 4151], {
    code: 'AUTHENTICATION_FAILED',
    remedy: ({ user, byToken }) =>
      byToken
        ? `Let the user log in by IAM (IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'), switch IAM authentication on at the instance or cluster, and allow the role of this process rds-db:connect on its arn:aws:rds-db:…:dbuser:…/${user}.`
        : `Check user and password in the secret that the connection names, and that "${user}" may log in from here ('${user}'@'%').`,
  }),
  ...many([1044, 1142, 1143, 1227, 1370, 1410, 1419, 1133], {
    code: 'ACCESS_DENIED',
    remedy: (place) => `Grant user "${place.user}" what is missing on ${on(place)}, for example: GRANT SELECT ON … TO …;`,
  }),
  ...many([1049], {
    code: 'DATABASE_MISSING',
    remedy: ({ database }) => `Create the database "${database}", or correct the name.`,
  }),
  ...many([1040, 1203, 1226, 1135], {
    code: 'CONNECTION_LIMIT',
    remedy: () => 'Lower maxConnections of the connection or the concurrency of the environment, or raise max_connections of the server.',
  }),
  ...many([1146, 1051, 1109, 1305, 1932], {
    code: 'TABLE_MISSING',
    remedy: () => 'Check the name, with its database, and that the user may see it. "millrace introspect" lists the tables there are.',
  }),
  ...many([1205, 1213, 1020, 1614, 3058, 3101, 3572], { code: 'LOAD_CONFLICT', remedy: again }),
  ...many([1412], {
    code: 'SNAPSHOT_LOST',
    remedy: () => 'The table was altered while it was about to be read. It is tried again with a new snapshot.',
  }),
  ...many([1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 1969, 2006, 2013, 3024, 4031, 1129, 1130], {
    code: 'CONNECTION_FAILED',
    remedy: again,
  }),
  ...many([3, 1021, 1026, 1114, 1041], {
    code: 'DISK_FULL',
    remedy: () => 'Free disk space (or memory) on the database server, or enlarge its volume.',
  }),
  ...many([1153, 1301], {
    code: 'STATEMENT_FAILED',
    remedy: () => 'A row or a statement is larger than the server takes: raise max_allowed_packet.',
  }),
  ...many([1148, 3948, 4166], {
    code: 'UNSUPPORTED',
    remedy: () => 'Switch local_infile on at the server.',
  }),
  ...many(
    [1264, 1265, 1292, 1366, 1406, 1411, 1425, 1048, 1062, 1169, 1216, 1217, 1451, 1452, 1586, 1690, 3140, 3141, 3819, 4025, 1364, 1441],
    {
      code: 'TYPE_MISMATCH',
      remedy: () =>
        'A row does not fit its column, or breaks a constraint of the table. Correct the row, the column or the load mode; with onBadRow such rows can be set aside.',
    },
  ),
  ...many([1059, 1102, 1103, 1166], {
    code: 'IDENTIFIER_INVALID',
    remedy: () => 'Use a name of 1 to 64 characters that does not end in a space.',
  }),
};

/** Where the number says nothing. Class 22 is data, 23 constraints, 08 the connection. */
const classes: Readonly<Record<string, Meaning>> = {
  '08': { code: 'CONNECTION_FAILED', remedy: again },
  '22': { code: 'TYPE_MISMATCH', remedy: () => 'Change the value or the type of the column. With onBadRow such rows can be set aside.' },
  '23': {
    code: 'TYPE_MISMATCH',
    remedy: () =>
      'A row breaks a constraint of the table. Correct the row, the constraint or the load mode; with onBadRow such rows can be set aside.',
  },
};

const statement: Meaning = {
  code: 'STATEMENT_FAILED',
  remedy: () => 'Correct the statement; the message is that of the database.',
};

/** The server takes no writes: 1290 and 1836 name an option such as --read-only, 1792 a read-only transaction. */
const readOnlyNumbers = new Set([1290, 1836, 1792, 3100]);
const demoted: Meaning = { code: 'CONNECTION_FAILED', remedy: () => writerRemedy };

/** What Node says of a certificate, whose code the driver has written over. */
const certificateCodes: readonly (readonly [message: RegExp, code: string])[] = [
  [/does not match certificate|not in the cert/i, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  [/certificate has expired/i, 'CERT_HAS_EXPIRED'],
  [/self[- ]signed certificate/i, 'SELF_SIGNED_CERT_IN_CHAIN'],
  [/unable to (verify|get)|certificate/i, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
];
/** Errors of the socket and of the resolver, and what the driver says when a connection ends. */
const network =
  /^(ECONN|EHOSTUNREACH|ENET|ENOTCONN|ENOTFOUND|EAI_|EPIPE|ETIMEDOUT|EHOSTDOWN|EADDRNOTAVAIL|ENOENT|EACCES|ERR_STREAM|ERR_SSL|ERR_TLS|ERR_SOCKET|PROTOCOL_|HANDSHAKE_)/;

/** Any error of the server, the driver or the socket as one of ours. The password, should it stand anywhere, is taken out. */
export function mysqlError(error: unknown, place: Place): MillraceError {
  if (isMillraceError(error)) return error as MillraceError;
  if (error instanceof ServerRefusal) return refused(error.errno, error.sqlState, error.message, place);
  if (error instanceof WireFailure && error.code === 'corrupt') {
    return new MillraceError('WIRE_CORRUPT', {
      message: `${place.label}: ${error.message}`,
      remedy: 'The part is thrown away and read again. If it stays, look at what stands between here and the database.',
      facts: facts(place, {}),
    });
  }
  const { code = '', message = String(error), errno, sqlState } = error as DriverFields;
  if (typeof errno === 'number' && errno > 0 && typeof sqlState === 'string') return refused(errno, sqlState, message, place);
  const text = scrubbed(message, place);
  const reason = code === 'HANDSHAKE_SSL_ERROR' ? certificateCodes.find(([form]) => form.test(message))?.[1] : undefined;
  if (reason !== undefined) {
    return new MillraceError('CERTIFICATE_REFUSED', {
      message: `${place.label}: the certificate of the server was refused: ${sentence(text)}`,
      remedy: certificateRemedy(reason, place),
      facts: facts(place, { reason }),
    });
  }
  if (error instanceof WireFailure || network.test(code) || error instanceof AggregateError) {
    return new MillraceError('CONNECTION_FAILED', {
      message: `${place.label}: ${sentence(text || inner(error, place))}`,
      remedy: /SSL|TLS|secure/i.test(text)
        ? 'Check TLS: ssl-mode in the URL (DISABLED, REQUIRED, VERIFY_IDENTITY) and the certificate authority given with ssl or ssl-ca.'
        : 'Check host and port, that the server runs, and that firewalls and security groups let this machine in. It is tried again with backoff.',
      facts: facts(place, { reason: code || undefined }),
    });
  }
  return new MillraceError('INTERNAL', {
    message: `${place.label}: ${sentence(text)}`,
    remedy: 'This error has no entry in the manual: please report it.',
    facts: facts(place, { reason: code || undefined }),
    cause: error instanceof Error && !place.hidden ? error : undefined,
  });
}

/** A server that was to be written to, and takes no writes. */
export const readOnly = (place: Place): MillraceError =>
  new MillraceError('CONNECTION_FAILED', {
    message: `${place.label}: this server is read-only.`,
    remedy: writerRemedy,
    facts: facts(place, { reason: 'read-only' }),
  });

interface DriverFields {
  readonly code?: string;
  readonly message?: string;
  readonly errno?: unknown;
  readonly sqlState?: unknown;
}

function refused(errno: number, sqlState: string, message: string, place: Place): MillraceError {
  const isDemoted = place.writer === true && readOnlyNumbers.has(errno);
  const meaning = isDemoted ? demoted : (numbers[errno] ?? classes[sqlState.slice(0, 2)] ?? statement);
  return new MillraceError(meaning.code, {
    message: `${place.label}: ${sentence(scrubbed(message, place))}`,
    remedy: meaning.remedy(place),
    facts: facts(place, { errno, sqlstate: sqlState }),
  });
}

function certificateRemedy(code: string, { bundle }: Place): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'Connect by a name that the certificate is for: an alias of the database, or its IP address, is none. Through a tunnel keep the name as host and add hostaddr=127.0.0.1 to the URL.';
  if (code === 'CERT_HAS_EXPIRED')
    return 'Renew the certificate at the server; on RDS rotate it to the current authority (rds-ca-rsa2048-g1).';
  return bundle
    ? `The authorities that come with Millrace lack that of this region, or the server is another one. Download ${bundle} and name the file with ssl-ca=… in the URL.`
    : 'Name the authority that has signed it with ssl-ca=… in the URL; ssl-mode=REQUIRED encrypts without looking at it.';
}

const inner = (error: unknown, place: Place): string =>
  error instanceof AggregateError
    ? error.errors.map((one) => scrubbed(String((one as Error).message), place)).join('; ')
    : 'the connection failed';

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

function scrubbed(text: string, { hidden }: Place): string {
  // One or two characters could be part of any word; a password that short protects nothing.
  return hidden !== undefined && hidden.length > 2 ? text.replaceAll(hidden, '***') : text;
}

function facts({ label, user, database, object }: Place, more: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const all: Record<string, unknown> = { connection: label, user, database: database || undefined, object, ...more };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

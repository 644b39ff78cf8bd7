import { type ErrorCode, isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { AmazonEndpoint } from '../aws/endpoint.ts';

/** What is known about the place of an error. Nothing here may be secret. */
export interface Place {
  /** The connection as plans show it. */
  readonly label: string;
  readonly user?: string;
  readonly database?: string;
  /** The table or statement at work, where the caller knows it better than the server says. */
  readonly object?: string;
  /** Text that must not appear in a message: the password. */
  readonly hidden?: string;
  /** The session was opened to write. */
  readonly writer?: boolean;
  /** The password was a token of IAM. */
  readonly byToken?: boolean;
  /** Its name in the URL. */
  readonly host?: string;
  /** Of a database of Amazon's. */
  readonly endpoint?: AmazonEndpoint['kind'];
  /** Where the authorities are to be had by which the server's certificate was looked at, where those were the ones that come with us. */
  readonly bundle?: string;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly remedy: (place: Place) => string;
}

const on = (place: Place): string => place.object ?? 'the object that the message names';
const again: Meaning['remedy'] = () => 'Nothing to do: it is tried again with backoff. If it stays, look at the server and the way to it.';

const tokenRemedy: Meaning['remedy'] = ({ user = '' }) =>
  `GRANT rds_iam TO "${user}"; switch IAM authentication on at the cluster or instance; and allow the role of this process rds-db:connect on its arn:aws:rds-db:…:dbuser:…/${user}.`;

const writerRemedy =
  'After a failover the name of the writer leads to the new one within seconds, and it is tried again. If it stays, name the writer in the URL (of Aurora the cluster endpoint), and look at default_transaction_read_only.';

/** In a session that reads, the statement is to blame for it. */
const readOnlyState = '25006';
const demoted: Meaning = { code: 'CONNECTION_FAILED', remedy: () => writerRemedy };

/** A server that was to be written to, and is a standby. */
export function readOnly(place: Place): MillraceError {
  return new MillraceError('CONNECTION_FAILED', {
    message: `${place.label}: this server is a standby and takes no writes.`,
    remedy: writerRemedy,
    facts: facts(place, { reason: 'standby' }),
  });
}

/**
 * SQLSTATE to code, whole states before their classes (the first two characters).
 * Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const states: Readonly<Record<string, Meaning>> = {
  '28000': {
    code: 'AUTHENTICATION_FAILED',
    remedy: (place) =>
      place.byToken
        ? tokenRemedy(place)
        : `Check that user "${place.user ?? ''}" may log in from here (pg_hba.conf, rds_iam), and that TLS is as the server wants it (sslmode in the URL).`,
  },
  '28P01': {
    code: 'AUTHENTICATION_FAILED',
    remedy: (place) =>
      place.byToken ? tokenRemedy(place) : `Check the password of user "${place.user ?? ''}" in the secret that the connection names.`,
  },
  '3D000': {
    code: 'DATABASE_MISSING',
    remedy: ({ database }) => `Create the database "${database ?? ''}", or correct the end of the connection URL.`,
  },
  '42501': {
    code: 'ACCESS_DENIED',
    remedy: (place) => `Grant user "${place.user ?? ''}" what is missing on ${on(place)}, for example: GRANT SELECT ON … TO …;`,
  },
  '42P01': {
    code: 'TABLE_MISSING',
    remedy: () => 'Check the name, with its schema, and that the user may see it. "millrace introspect" lists the tables there are.',
  },
  '3F000': { code: 'TABLE_MISSING', remedy: () => 'Create the schema, or correct its name.' },
  '42883': { code: 'TABLE_MISSING', remedy: () => 'Check name and argument types of the function or procedure, and its schema.' },
  '53300': {
    code: 'CONNECTION_LIMIT',
    remedy: () => 'Lower maxConnections of the connection or the concurrency of the environment, or raise max_connections of the server.',
  },
  '53100': { code: 'DISK_FULL', remedy: () => 'Free disk space on the database server, or enlarge its volume.' },
  '54000': { code: 'STATEMENT_FAILED', remedy: () => 'The statement goes beyond a limit of Postgres. Split it, or select fewer columns.' },
  '57014': {
    code: 'CONNECTION_FAILED',
    remedy: () =>
      'The server cancelled the statement. Look for a statement timeout of the server or for somebody who cancelled it; it is tried again.',
  },
  '57P01': { code: 'CONNECTION_FAILED', remedy: again },
  '57P02': { code: 'CONNECTION_FAILED', remedy: again },
  '57P03': { code: 'CONNECTION_FAILED', remedy: again },
  '57P05': { code: 'CONNECTION_FAILED', remedy: again },
  '25P03': { code: 'CONNECTION_FAILED', remedy: again },
  '25P04': { code: 'CONNECTION_FAILED', remedy: again },
  '40001': { code: 'LOAD_CONFLICT', remedy: again },
  '40P01': { code: 'LOAD_CONFLICT', remedy: again },
  '55P03': { code: 'LOAD_CONFLICT', remedy: again },
  '72000': {
    code: 'SNAPSHOT_LOST',
    remedy: () => 'The server gave up old row versions (old_snapshot_threshold). It is tried again with a new snapshot.',
  },
  '08': { code: 'CONNECTION_FAILED', remedy: again },
  '53': { code: 'CONNECTION_FAILED', remedy: () => 'The server is short of memory or other resources. Tried again with backoff.' },
  '58': { code: 'CONNECTION_FAILED', remedy: () => 'The server had trouble with its own files. See its log; it is tried again.' },
  '22': { code: 'TYPE_MISMATCH', remedy: () => 'Change the value or the type of the column. With onBadRow such rows can be set aside.' },
  '23': {
    code: 'TYPE_MISMATCH',
    remedy: () =>
      'A row breaks a constraint of the table. Correct the row, the constraint or the load mode; with onBadRow such rows can be set aside.',
  },
  XX: { code: 'INTERNAL', remedy: () => 'The database reports an internal error or corrupt data. See its log.' },
};

const statement: Meaning = {
  code: 'STATEMENT_FAILED',
  remedy: () => 'Correct the statement; the message and the position are those of the database.',
};

/**
 * Redshift has one state for most of its own errors, XX000, and a number for a message: 1023 is two transactions that have read what the
 * other has written. Source: https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
 */
const redshiftConflict = /^1023\b|serializable isolation violation|conflict with concurrent transaction/i;
const conflict: Meaning = { code: 'LOAD_CONFLICT', remedy: again };

/** What Node says of a certificate. */
const certificate =
  /^(CERT_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY|INVALID_CA|HOSTNAME_MISMATCH|ERR_TLS_CERT_ALTNAME_INVALID)/;

function certificateRemedy(code: string, { bundle }: Place): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || code === 'HOSTNAME_MISMATCH')
    return 'Connect by a name that the certificate is for: an alias of the database, or its IP address, is none. Through a tunnel keep the name as host and add hostaddr=127.0.0.1 to the URL.';
  if (code === 'CERT_HAS_EXPIRED')
    return 'Renew the certificate at the server; on RDS rotate it to the current authority (rds-ca-rsa2048-g1).';
  return bundle
    ? `The authorities that come with Millrace lack that of this region, or the server is another one. Download ${bundle} and name the file with sslrootcert=… in the URL, or with PGSSLROOTCERT.`
    : 'Name the authority that has signed it with sslrootcert=… in the URL or with PGSSLROOTCERT; sslmode=require encrypts without looking at it.';
}

/** Errors of the socket and of the resolver, and what the driver says when a connection ends. */
const network =
  /^(ECONN|EHOSTUNREACH|ENET|ENOTCONN|ENOTFOUND|EAI_|EPIPE|ETIMEDOUT|EHOSTDOWN|EADDRNOTAVAIL|ENOENT|EACCES|ERR_STREAM|ERR_SSL|ERR_TLS|ERR_SOCKET)/;
const ended = /Connection terminated|timeout expired|not queryable|connection error|does not support SSL|establishing an SSL/i;

/** Any error of the driver or the server as one of ours. The password, should it stand anywhere, is taken out. */
export function pgError(error: unknown, place: Place): MillraceError {
  if (isMillraceError(error)) return error as MillraceError;
  const { code = '', message = String(error), syscall, ...fields } = error as PgErrorFields;
  const text = scrubbed(message, place);
  if (/^[0-9A-Z]{5}$/.test(code) && fields.severity !== undefined) {
    const isConflict = code === 'XX000' && redshiftConflict.test(message);
    const isDemoted = code === readOnlyState && place.writer === true;
    const meaning = isConflict ? conflict : isDemoted ? demoted : (states[code] ?? states[code.slice(0, 2)] ?? statement);
    return new MillraceError(meaning.code, {
      message: `${place.label}: ${sentence(text)}${fields.detail ? ` ${sentence(scrubbed(fields.detail, place))}` : ''}${fields.where ? ` (${scrubbed(firstLine(fields.where), place)})` : ''}`,
      remedy: meaning.remedy(place),
      facts: facts(place, {
        sqlstate: code,
        table: fields.table,
        column: fields.column,
        constraint: fields.constraint,
        hint: fields.hint,
        position: fields.position,
      }),
    });
  }
  if (certificate.test(code)) {
    return new MillraceError('CERTIFICATE_REFUSED', {
      message: `${place.label}: the certificate of the server was refused: ${sentence(text)}`,
      remedy: certificateRemedy(code, place),
      facts: facts(place, { reason: code }),
    });
  }
  if (network.test(code) || syscall !== undefined || ended.test(message) || aggregate(error)) {
    return new MillraceError('CONNECTION_FAILED', {
      message: `${place.label}: ${sentence(text || inner(error, place))}`,
      remedy: /SSL|TLS/i.test(text)
        ? 'Check TLS: sslmode in the URL (disable, require, verify-full) and the certificate authority given with ssl or sslrootcert.'
        : 'Check host and port, that the server runs, and that firewalls and security groups let this machine in. It is tried again with backoff.',
      facts: facts(place, { reason: code || undefined }),
    });
  }
  if (/^SASL|password must be a string/i.test(message)) {
    return new MillraceError('AUTHENTICATION_FAILED', {
      message: `${place.label}: ${sentence(text)}`,
      remedy: `Check the password of user "${place.user ?? ''}": the connection URL has none, or one that the server does not accept.`,
      facts: facts(place, {}),
    });
  }
  return new MillraceError('INTERNAL', {
    message: `${place.label}: ${sentence(text)}`,
    remedy: 'This error has no entry in the manual: please report it.',
    facts: facts(place, { reason: code || undefined }),
    cause: error instanceof Error && !place.hidden ? error : undefined,
  });
}

interface PgErrorFields {
  /** Of the operating system's errors: the call that failed. */
  readonly syscall?: string;
  readonly code?: string;
  readonly message?: string;
  readonly severity?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly where?: string;
  readonly table?: string;
  readonly column?: string;
  readonly constraint?: string;
  readonly position?: string;
}

/** Node tries every address of a host and answers with all their errors together. */
const aggregate = (error: unknown): error is AggregateError => error instanceof AggregateError;
const inner = (error: unknown, place: Place): string =>
  aggregate(error) ? error.errors.map((one) => scrubbed(String((one as Error).message), place)).join('; ') : 'the connection failed';

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';
const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

function scrubbed(text: string, { hidden }: Place): string {
  // One or two characters could be part of any word; a password that short protects nothing.
  return hidden !== undefined && hidden.length > 2 ? text.replaceAll(hidden, '***') : text;
}

function facts(place: Place, more: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const all: Record<string, unknown> = {
    connection: place.label,
    user: place.user,
    database: place.database,
    object: place.object,
    ...more,
  };
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, typeof value === 'string' ? scrubbed(value, place) : value]],
    ),
  );
}

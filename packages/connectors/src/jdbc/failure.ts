import { type ErrorCode, MillraceError } from '@millrace/core/runtime';

/** What went wrong in the Java process. */
export interface JavaError {
  /** `sql` (a SQLException), `value` (one that cannot be carried as it is), `driver` (none takes the URL), `class`, `memory` or `java`. */
  readonly kind: string;
  readonly sqlstate: string | null;
  /** The vendor's own number; 0 where there is none. */
  readonly vendor: number;
  readonly message: string;
  /** The column and the row of an answer, from 0, where it was. */
  readonly column: string | null;
  readonly row: number | null;
}

/** What is known about the place of an error. Nothing here may be secret, but `hidden`. */
export interface Place {
  /** The connection as plans show it. */
  readonly label: string;
  /** Once it is known: what the database calls itself. */
  readonly product?: string;
  readonly user?: string;
  /** The table or query at work. */
  readonly object?: string;
  /** Texts that must not appear in a message: passwords, the URL with them in it. */
  readonly hidden: readonly string[];
}

interface Meaning {
  readonly code: ErrorCode;
  readonly remedy: string;
}

const again = 'Nothing to do: it is tried again with backoff. If it stays, look at the server and the way to it.';
const unreachable: Meaning = {
  code: 'CONNECTION_FAILED',
  remedy:
    'Check host and port of the URL, that the server runs, and that firewalls and security groups let this machine in. It is tried again with backoff.',
};
const login: Meaning = { code: 'AUTHENTICATION_FAILED', remedy: 'Check user and password: the secrets that the connection names.' };
const denied: Meaning = { code: 'ACCESS_DENIED', remedy: 'Grant the user what is missing, for example: GRANT SELECT ON … TO …' };
const missing: Meaning = {
  code: 'TABLE_MISSING',
  remedy: 'Check the name, with its schema, and that the user may see it. "millrace introspect" lists the tables there are.',
};
const database: Meaning = { code: 'DATABASE_MISSING', remedy: 'Create the database, or correct its name in the URL.' };
const conflict: Meaning = { code: 'LOAD_CONFLICT', remedy: again };
const full: Meaning = { code: 'CONNECTION_LIMIT', remedy: 'Lower maxConnections of the connection, or raise the limit of the server.' };
const lost: Meaning = { code: 'CONNECTION_FAILED', remedy: again };
const value: Meaning = {
  code: 'TYPE_MISMATCH',
  remedy: 'Change the value or the type of the column. With onBadRow such rows can be set aside.',
};
const constraint: Meaning = {
  code: 'TYPE_MISMATCH',
  remedy: 'A row breaks a constraint of the table. Correct the row, the constraint or the load mode.',
};
const space: Meaning = { code: 'DISK_FULL', remedy: 'Free space at the database, or enlarge its volume.' };
const old: Meaning = {
  code: 'SNAPSHOT_LOST',
  remedy: 'The server gave up old row versions; it is tried again. Read smaller splits, or enlarge what it keeps (undo).',
};
const statement: Meaning = {
  code: 'STATEMENT_FAILED',
  remedy: 'Correct the statement or the settings; the message is that of the database.',
};

/** Codes of vendors that say more than their SQLSTATE. */
const vendors: Readonly<Record<string, Readonly<Record<number, Meaning>>>> = {
  oracle: {
    1: constraint,
    54: conflict,
    60: conflict,
    942: missing,
    1017: login,
    28000: login,
    28001: login,
    1005: login,
    1031: denied,
    1045: denied,
    12505: database,
    12514: database,
    12541: unreachable,
    12170: unreachable,
    17002: unreachable,
    17008: lost,
    17410: lost,
    3113: lost,
    3114: lost,
    3135: lost,
    12516: full,
    12519: full,
    12520: full,
    18: full,
    20: full,
    8177: conflict,
    1555: old,
    1653: space,
    1654: space,
    30036: space,
    1400: constraint,
    2291: constraint,
    2290: constraint,
    12899: value,
    1438: value,
    1722: value,
  },
  'microsoft sql server': {
    208: missing,
    229: denied,
    230: denied,
    262: denied,
    4060: database,
    18456: login,
    18470: login,
    1205: conflict,
    1222: conflict,
    3960: conflict,
    2601: constraint,
    2627: constraint,
    515: constraint,
    547: constraint,
    8152: value,
    2628: value,
    8114: value,
    8115: value,
    1105: space,
    9002: space,
    10928: full,
    10929: full,
    40613: lost,
  },
  db2: {
    [-204]: missing,
    [-551]: denied,
    [-552]: denied,
    [-911]: conflict,
    [-913]: conflict,
    [-803]: constraint,
    [-407]: constraint,
    [-4214]: login,
    [-1060]: denied,
    [-4499]: unreachable,
    [-30108]: lost,
    [-964]: space,
  },
  mysql: {
    1044: denied,
    1045: login,
    1049: database,
    1142: denied,
    1143: denied,
    1146: missing,
    1040: full,
    1203: full,
    1205: conflict,
    1213: conflict,
    1114: space,
    2006: lost,
    2013: lost,
    1290: lost,
    1836: lost,
  },
  h2: {
    42102: missing,
    42103: missing,
    42104: missing,
    90096: denied,
    90067: unreachable,
    90121: lost,
    90146: database,
    90013: database,
    50200: conflict,
    40001: conflict,
    28000: login,
  },
  sqlite: { 5: conflict, 6: conflict, 13: space, 14: database, 8: denied, 19: constraint },
  snowflake: { 390100: login, 2003: missing, 3001: denied },
};

/**
 * SQLSTATE to code, whole states before their classes (the first two characters). Source: ISO/IEC 9075-2, table of SQLSTATE classes; states
 * that a vendor has added stand beside.
 */
const states: Readonly<Record<string, Meaning>> = {
  '42S02': missing,
  '42P01': missing,
  '42X05': missing,
  '42Y07': missing,
  '3F000': missing,
  S0002: missing,
  '42704': missing,
  '42501': denied,
  '42502': denied,
  '3D000': database,
  '08001': unreachable,
  '08004': full,
  '53300': full,
  '53100': space,
  '57014': lost,
  '57P01': lost,
  '57P02': lost,
  '57P03': lost,
  '72000': old,
  '55P03': conflict,
  '61000': conflict,
  '40XL1': conflict,
  '08': lost,
  '28': login,
  '40': conflict,
  '22': value,
  '23': constraint,
  '53': lost,
  '0A': { ...statement, code: 'UNSUPPORTED' },
};

/** HSQLDB says 42501 where a table is missing or must not be seen; its message names which it could be. */
const hidden = /not found/i;
const network =
  /connection (?:refused|reset|timed? ?out)|unknown host|communications? (?:link )?(?:failure|error)|socket|i\/o error|network/i;

/** An error of the Java process as one of ours. Secrets, should they stand anywhere, are taken out. */
export function jdbcError(error: JavaError, place: Place): MillraceError {
  const text = scrubbed(error.message, place);
  const at = error.column === null ? '' : ` (column "${error.column}"${error.row === null ? '' : `, row ${error.row}`})`;
  const facts = {
    connection: place.label,
    ...(place.object !== undefined && { object: place.object }),
    ...(error.sqlstate !== null && { sqlstate: error.sqlstate }),
    ...(error.vendor !== 0 && { vendorCode: error.vendor }),
    ...(error.column !== null && { column: error.column }),
  };
  const where = place.object === undefined ? place.label : `${place.label}, ${place.object}`;
  const say = ({ code, remedy }: Meaning): MillraceError =>
    new MillraceError(code, { message: `${where}: ${sentence(text)}${at}`, remedy, facts });
  switch (error.kind) {
    case 'sql':
      return say(meaningOf(error, place));
    case 'value':
      return say({
        code: 'VALUE_UNREPRESENTABLE',
        remedy: 'Declare the column with a type that holds it, or read it by a query that casts it: query("SELECT CAST(…) …", { as }).',
      });
    case 'driver':
      return new MillraceError('CONFIG_INVALID', {
        message:
          text === ''
            ? `${place.label}: the jars in drivers hold no JDBC driver.`
            : `${place.label}: none of the drivers takes this URL (there are ${text}).`,
        remedy: "Name the driver's jar in drivers: ['ojdbc11.jar'], and driverClass where the jar does not say which class it is.",
        facts,
      });
    case 'class':
      return new MillraceError('CONFIG_INVALID', {
        message: `${place.label}: the driver cannot be loaded: ${sentence(text)}`,
        remedy: 'Name all jars that the driver needs in drivers; a class of a newer version needs a newer Java (java: { home }).',
        facts,
      });
    case 'memory':
      return say({
        code: 'MEMORY_EXHAUSTED',
        remedy: "Give Java more memory, java: { args: ['-Xmx2g'] }, or read fewer rows at once with fetchSize.",
      });
    default:
      return say(
        network.test(text)
          ? unreachable
          : { code: 'INTERNAL', remedy: 'The driver failed in a way of its own: look at its documentation, or report it.' },
      );
  }
}

function meaningOf({ sqlstate, vendor, message }: JavaError, { product = '' }: Place): Meaning {
  const of = vendorOf(product, message);
  const known = of === undefined ? undefined : vendors[of]?.[vendor];
  if (known) return known;
  const state = sqlstate ?? '';
  if (state === '42501' && hidden.test(message)) return missing;
  return states[state] ?? states[state.slice(0, 2)] ?? (network.test(message) ? unreachable : statement);
}

/** Before there is a connection the product is not known: then the message tells. */
function vendorOf(product: string, message: string): string | undefined {
  const name = product.toLowerCase();
  if (name.startsWith('db2')) return 'db2';
  if (name === 'mariadb') return 'mysql';
  if (name in vendors) return name;
  if (name !== '') return undefined;
  if (/\bORA-\d/.test(message)) return 'oracle';
  if (/Login failed for user|Cannot open database/.test(message)) return 'microsoft sql server';
  if (/\bSQLCODE=|DB2/.test(message)) return 'db2';
  if (/\[SQLITE_/.test(message)) return 'sqlite';
  if (/\[\d{5}-\d{3}\]$/.test(message)) return 'h2';
  return undefined;
}

const sentence = (text: string): string => (/[.!?]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`);

/** One or two characters could be part of any word; a password that short protects nothing. The longest first: one may begin with another. */
export const scrubbed = (text: string, { hidden: secrets }: Pick<Place, 'hidden'>): string =>
  secrets
    .filter((secret) => secret.length > 2)
    .sort((one, other) => other.length - one.length)
    .reduce((left, secret) => left.replaceAll(secret, '***'), text);

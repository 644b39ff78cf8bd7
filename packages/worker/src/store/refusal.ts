import { type ErrorCode, MillraceError, withoutPassword } from '@millrace/core/runtime';

interface Meaning {
  readonly code: ErrorCode;
  /** Stands after the name of the database. */
  readonly says: string;
  readonly remedy: string;
}

const place = 'MILLRACE_STATE_URL or "state" in the config';
const away: Meaning = {
  code: 'STATE_UNAVAILABLE',
  says: 'cannot be reached',
  remedy: 'Look whether it runs and whether this machine may connect to it. Runs wait where they are.',
};
const full: Meaning = { ...away, says: 'has no room', remedy: 'Free space or memory there. Runs wait where they are.' };
const login: Meaning = { code: 'AUTHENTICATION_FAILED', says: 'does not let this user in', remedy: `Check user and password in ${place}.` };

/** By SQLSTATE or code of the socket. */
const meanings: readonly (readonly [pattern: RegExp, meaning: Meaning])[] = [
  [/^(28000|28P01)$/, login],
  [/^3D000$/, { code: 'DATABASE_MISSING', says: 'does not exist', remedy: `Create it, or correct the end of ${place}.` }],
  [
    /^42501$/,
    {
      code: 'ACCESS_DENIED',
      says: 'refuses something to this user',
      remedy: 'Let its user make a schema there (GRANT CREATE ON DATABASE … TO …;), or let it own the schema "millrace".',
    },
  ],
  [
    /^25006$/,
    { ...away, says: 'is read-only', remedy: `Let ${place} name the writer: this is a standby, or a database that is set to read only.` },
  ],
  [/^53[12]00$/, full],
  [/^(08...|57P0[123]|53300|ECONN.*|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT)$/, away],
];
const brokenOff = /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/;

/** What the state database or the way to it has against us, as an error of ours; undefined where a statement of ours is to blame. */
export function refusal(error: unknown, url: string): MillraceError | undefined {
  const { code = '', message = String(error) } = error as { code?: string; message?: string };
  const meaning = meanings.find(([pattern]) => pattern.test(code))?.[1] ?? (brokenOff.test(message) ? away : undefined);
  return (
    meaning &&
    new MillraceError(meaning.code, {
      message: `The state database ${withoutPassword(url)} ${meaning.says}: ${message}`,
      remedy: meaning.remedy,
      cause: error,
    })
  );
}

import { readFileSync, type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MillraceError } from '@millrace/core';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whom the server runs as, or undefined for the user of this process. Postgres refuses root, so root hands over to the owner of the
 * data directory or, for a new one, to `postgres`, `nobody` or else the first other user: initdb wants a user with a name.
 */
export function serverAccount(directory: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const data = statSync(join(directory, 'data'), { throwIfNoEntry: false });
  if (data && data.uid !== 0) return { uid: data.uid, gid: data.gid };
  const users = otherUsers();
  const account = users.find((user) => user.name === 'postgres') ?? users.find((user) => user.name === 'nobody') ?? users[0];
  if (account) return { uid: account.uid, gid: account.gid };
  throw new MillraceError('EMBEDDED_POSTGRES_UNAVAILABLE', {
    message: 'Postgres does not run as root, and /etc/passwd names no other user.',
    remedy: 'Run millrace as an ordinary user, add one (adduser postgres), or set MILLRACE_STATE_URL to a Postgres database.',
  });
}

/** Whether the account may pass through every directory above a path. */
export function canReach(account: Account, path: string): boolean {
  for (let at = dirname(path); ; at = dirname(at)) {
    if (!may(account, statSync(at), 0o1)) return false;
    if (at === dirname(at)) return true;
  }
}

/** Whether the mode bits grant `need` (4 read, 1 execute or pass). */
export function may(account: Account, file: Stats, need: number): boolean {
  const bits = file.uid === account.uid ? file.mode >> 6 : file.gid === account.gid ? file.mode >> 3 : file.mode;
  return (bits & need) === need;
}

function otherUsers(): (Account & { name: string })[] {
  let text: string;
  try {
    text = readFileSync('/etc/passwd', 'utf8');
  } catch {
    return [];
  }
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name, , uid, gid]) => ({ name: name ?? '', uid: Number(uid), gid: Number(gid) }))
    .filter((user) => user.uid > 0 && Number.isInteger(user.gid));
}

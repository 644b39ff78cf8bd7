import { isMillraceError } from '@millrace/core/runtime';
import type { Session } from '../session.ts';

/**
 * What this user is allowed for certain. The catalog leaves out what a user may not see, so that a look at it proves nothing unless it is
 * known that the user sees all. Rights by way of a role, and all of them where some are revoked in part, count as not had.
 */
export interface Grants {
  /** On everything. */
  everywhere(privilege: string): boolean;
  /** On a table, by whichever way; without `name` on every table of the database. */
  on(privilege: string, at: { readonly database: string; readonly name?: string }): boolean;
}

interface Line {
  readonly privileges: readonly string[];
  /** As GRANT writes it: `*`, or a name in which `_` and `%` stand for others. */
  readonly database: string;
  readonly table: string;
}

export async function grantsOf(session: Session): Promise<Grants> {
  try {
    const [self] = await session.query('SELECT CURRENT_USER() AS name');
    const lines = (await session.query('SHOW GRANTS')).map((row) => Object.values(row)[0] ?? '');
    return parseGrants(lines, self?.['name'] ?? '');
  } catch (error) {
    if (!isMillraceError(error) || session.ended) throw error;
    return parseGrants([], ''); // of a server without accounts
  }
}

/** `lines` as SHOW GRANTS prints them, `user` as CURRENT_USER() does: `name@host`. */
export function parseGrants(lines: readonly string[], user: string): Grants {
  const isPartial = lines.some((line) => /^REVOKE /i.test(line));
  const known = isPartial ? [] : lines.flatMap((line) => lineOf(line, user) ?? []);
  const has = ({ privileges }: Line, privilege: string): boolean => privileges.includes(privilege) || privileges.includes('ALL PRIVILEGES');
  const everywhere = (privilege: string): boolean => known.some((line) => line.database === '*' && has(line, privilege));
  return {
    everywhere,
    on(privilege, { database, name }) {
      if (everywhere(privilege)) return true;
      if (known.some((line) => line.database === database && line.table === name && has(line, privilege))) return true;
      // Of several that fit the server takes one.
      const fitting = known.filter((line) => line.database !== '*' && line.table === '*' && patternOf(line.database).test(database));
      return fitting.length > 0 && fitting.every((line) => has(line, privilege));
    },
  };
}

const quoted = '`(?:[^`]|``)+`';
const grantLine = new RegExp(`^GRANT (.+?) ON (?:TABLE )?(\\*|${quoted})\\.(\\*|${quoted}) TO [\`'](.*?)[\`']@[\`'](.*?)[\`'](?: |$)`, 'i');

function lineOf(line: string, user: string): Line | null {
  const [, list = '', database = '', table = '', name, host] = grantLine.exec(line) ?? [];
  if (`${name}@${host}` !== user) return null;
  const plain = (part: string): string => (part === '*' ? part : part.slice(1, -1).replaceAll('``', '`'));
  // Of columns: SELECT (id, total).
  const privileges = list.replace(/ \([^)]*\)/g, ' (…)').split(', ');
  return { privileges: privileges.map((privilege) => privilege.trim().toUpperCase()), database: plain(database), table: plain(table) };
}

function patternOf(database: string): RegExp {
  const parts = database.replace(/\\([_%])|[_%]|[^\w\s]/g, (part, escaped: string | undefined) => {
    if (escaped !== undefined) return escaped;
    if (part === '_') return '.';
    return part === '%' ? '.*' : `\\${part}`;
  });
  return new RegExp(`^${parts}$`, 'is');
}

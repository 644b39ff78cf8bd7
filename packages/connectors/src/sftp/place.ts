import { MillraceError, withoutPassword } from '@millrace/core/runtime';

/** Where files are kept on an SFTP server. */
export interface SftpPlace {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** In the URL, where it stands there. */
  readonly password: string | null;
  /** Ends in '/'; absolute, or under the user's home. */
  readonly directory: string;
}

/** `sftp://user@host:22/directory`; `sftp://user@host/~/directory` is under the user's home. @throws CONFIG_INVALID */
export function parsePlace(url: string): SftpPlace {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed?.protocol !== 'sftp:' || parsed.hostname === '') throw invalid(url, 'Write sftp://user@host/directory.');
  if (parsed.username === '') throw invalid(url, 'Name the user: sftp://user@host/directory.');
  if (parsed.search !== '' || parsed.hash !== '') throw invalid(url, 'Leave out what stands behind "?" or "#".');
  const path = decoded(parsed.pathname).replace(/\/*$/, '/');
  return {
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: parsed.port === '' ? 22 : Number(parsed.port),
    user: decoded(parsed.username),
    password: parsed.password === '' ? null : decoded(parsed.password),
    directory: path.startsWith('/~/') ? path.slice(3) || './' : path,
  };

  function decoded(text: string): string {
    try {
      return decodeURIComponent(text);
    } catch {
      throw invalid(url, 'Write "%" as %25.');
    }
  }
}

export const urlOf = ({ host, port, directory }: SftpPlace): string =>
  `sftp://${host.includes(':') ? `[${host}]` : host}${port === 22 ? '' : `:${port}`}${directory.startsWith('/') ? directory : `/~/${directory}`}`;

const invalid = (url: string, remedy: string): MillraceError =>
  new MillraceError('CONFIG_INVALID', { message: `"${withoutPassword(url)}" is not a place on an SFTP server.`, remedy });

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { mysql } from '@millrace/connectors/mysql';
import { postgres } from '@millrace/connectors/postgres';
import { type Connection, type IntrospectableConnection, MillraceError, secret } from '@millrace/core/runtime';
import type { Session } from '../session.ts';
import { isEmbeddedUrl } from './embedded-url.ts';
import { importModule } from './module.ts';

/**
 * The connection that a person means: a URL, the name of a secret, or `<file>:<export>`.
 *
 * @throws CONFIG_INVALID
 */
export async function namedConnection(session: Session, wanted: string): Promise<IntrospectableConnection> {
  await session.project();
  if (isEmbeddedUrl(wanted)) {
    // The name goes through the environment like any secret's value, so that the URL is known as one.
    process.env['MILLRACE_INTROSPECTED'] = wanted;
    return postgres({ url: secret('MILLRACE_INTROSPECTED') });
  }
  const scheme = /^([a-z][a-z0-9+]*):\/\//i.exec(wanted)?.[1]?.toLowerCase();
  if (scheme === 'postgres' || scheme === 'postgresql') return postgres({ url: wanted });
  if (isMysql(wanted)) return mysql({ url: wanted });
  if (scheme !== undefined) throw unknown(`Tables cannot be listed at a ${scheme}: URL.`);
  const exported = /^(.+\.[cm]?[jt]s):([\p{ID_Start}$_][\p{ID_Continue}$]*)$/u.exec(wanted);
  if (exported) return exportedConnection(resolve(session.calledFrom, exported[1] as string), exported[2] as string);
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(wanted)) {
    const url = secret(wanted);
    return isMysql(await (await session.context()).secret(url)) ? mysql({ url }) : postgres({ url });
  }
  throw unknown(`"${wanted}" is not a connection.`);
}

const isMysql = (url: string): boolean => /^\s*(mysql|mariadb):\/\//i.test(url);

async function exportedConnection(file: string, name: string): Promise<IntrospectableConnection> {
  if (!existsSync(file)) throw unknown(`There is no file ${file}.`);
  const found = (await importModule(file))[name];
  if (!isConnection(found)) throw unknown(`${file} does not export a connection "${name}".`);
  if (!('introspect' in found)) throw unknown(`The tables of ${found.label} (${found.connector}) cannot be listed.`);
  return found as IntrospectableConnection;
}

export function isConnection(value: unknown): value is Connection {
  return typeof value === 'object' && value !== null && (value as Connection).kind === 'connection';
}

function unknown(message: string): MillraceError {
  return new MillraceError('CONFIG_INVALID', {
    message,
    remedy:
      'Give a URL of Postgres, MySQL or MariaDB, the name of a secret (SHOP_URL), or an exported connection of a file (pipelines/nightly.ts:shop).',
  });
}

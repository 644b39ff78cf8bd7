import { MillraceError } from '@millrace/core/runtime';
import { createDatabase } from '../embedded/index.ts';

/**
 * `embedded:shop` stands for the database "shop" of the project's embedded Postgres, so that a pipeline's secret can point at a
 * database that nobody had to install. It is made when it is missing.
 */
const form = /^embedded:(.*)$/s;

export const isEmbeddedUrl = (value: string): boolean => form.test(value);

/** @throws CONFIG_INVALID for a name that is none */
export function embeddedDatabase(value: string): string {
  const name = form.exec(value)?.[1] ?? '';
  if (/^[A-Za-z_][A-Za-z0-9_-]{0,62}$/.test(name)) return name;
  throw new MillraceError('CONFIG_INVALID', {
    message: `"${value}" does not name an embedded database.`,
    remedy: 'Write embedded: and a name of letters, digits, "_" and "-", for example embedded:shop.',
  });
}

/** The names in the process environment whose values are embedded databases. */
export function embeddedNames(env: NodeJS.ProcessEnv = process.env): string[] {
  return Object.keys(env).filter((name) => isEmbeddedUrl(env[name] ?? ''));
}

export function openEmbedded(server: string, value: string): Promise<string> {
  return createDatabase(server, embeddedDatabase(value));
}

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { MillraceError, type SecretPlace } from '@millrace/core/runtime';
import type { Project } from './config.ts';

/**
 * Gives the process environment what `.env` says, where the environment looks there, so that the processes that run stages find
 * the same values. Of `.env` and `env` the one that is named first wins, as in the config.
 */
export function readDotenv(project: Project): void {
  const places = project.environment.secrets ?? ['.env', 'env'];
  const file = join(project.root, '.env');
  if (!places.includes('.env') || !existsSync(file)) return;
  const environmentFirst = places.indexOf('env') >= 0 && places.indexOf('env') < places.indexOf('.env');
  for (const [name, value] of Object.entries(parseEnv(contentOf(file)))) {
    if (value !== undefined && !(environmentFirst && process.env[name] !== undefined)) process.env[name] = value;
  }
}

/** Without the mark that editors on Windows put first: it would be a part of the first name. @throws CONFIG_INVALID */
function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `${file} cannot be read: ${(cause as Error).message}`,
      remedy: 'Make it a file that this user may read, or leave ".env" out of the "secrets" of the environment.',
      cause,
    });
  }
}

/** Where secrets are looked for once `readDotenv` has put the file's into the process environment. */
export function secretSources(project: Project): Exclude<SecretPlace, '.env'>[] {
  const places = project.environment.secrets ?? ['.env', 'env'];
  return [...new Set(places.map((place) => (place === '.env' ? 'env' : place)))];
}

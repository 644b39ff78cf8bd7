import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
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
  for (const [name, value] of Object.entries(parseEnv(readFileSync(file, 'utf8')))) {
    if (value !== undefined && !(environmentFirst && process.env[name] !== undefined)) process.env[name] = value;
  }
}

/** Where secrets are looked for once `readDotenv` has put the file's into the process environment. */
export function secretSources(project: Project): ('env' | `aws:${string}`)[] {
  const places = project.environment.secrets ?? ['.env', 'env'];
  return [...new Set(places.map((place) => (place === '.env' ? 'env' : place)))];
}

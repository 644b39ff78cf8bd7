import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Files below `root` that a pattern names, sorted: `*` and `?` within a name, `**` over folders, `{a,b}` for either.
 * `node_modules` and names with a leading dot are left out unless the pattern writes them.
 */
export function globFiles(root: string, pattern: string): string[] {
  const segments = pattern.replace(/^\.\//, '').split('/').filter(Boolean);
  return [...new Set(walk(root, '', segments))].sort();
}

function walk(root: string, at: string, segments: readonly string[]): string[] {
  const [segment, ...rest] = segments;
  if (segment === undefined) return [];
  if (segment === '**') {
    const here = rest.length > 0 ? walk(root, at, rest) : [];
    const below = entries(root, at).filter((entry) => entry.isDirectory() && !skipped(entry.name));
    return [...here, ...below.flatMap((entry) => walk(root, join(at, entry.name), segments))];
  }
  if (segment === '..' || segment === '.') return walk(root, join(at, segment), rest);
  const matches = matcher(segment);
  return entries(root, at)
    .filter((entry) => matches.test(entry.name) && (segment.startsWith('.') || !skipped(entry.name)))
    .flatMap((entry) => {
      const path = join(at, entry.name);
      if (rest.length > 0) return entry.isFile() ? [] : walk(root, path, rest);
      return entry.isDirectory() ? [] : [path];
    });
}

function entries(root: string, at: string) {
  try {
    return readdirSync(join(root, at), { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}

const skipped = (name: string): boolean => name === 'node_modules' || name.startsWith('.');

function matcher(segment: string): RegExp {
  const source = segment
    .replace(/[.+^$()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '[^/]*')
    .replace(/\?/g, '[^/]')
    .replace(/\{([^{}]*)\}/g, (_, choices: string) => `(?:${choices.split(',').join('|')})`);
  return new RegExp(`^${source}$`);
}

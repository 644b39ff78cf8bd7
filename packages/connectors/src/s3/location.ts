import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MillraceError, withoutPassword } from '@millrace/core/runtime';

/** Where files are kept. `prefix` is '' or ends in '/'; a directory is absolute. */
export type Location =
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string }
  | { readonly kind: 'file'; readonly directory: string };

/**
 * `s3://bucket/prefix`, or `file:./lake`, relative to the project (the current directory: the command line goes there).
 * @throws CONFIG_INVALID
 */
export function parseLocation(url: string): Location {
  const s3 = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(url);
  if (s3) return { kind: 's3', bucket: s3[1]!, prefix: tidy(s3[2] ?? '') };
  if (url.startsWith('file:///')) return { kind: 'file', directory: fileURLToPath(url) };
  if (url.startsWith('file:') && url.length > 5) return { kind: 'file', directory: resolve(url.slice(5)) };
  throw new MillraceError('CONFIG_INVALID', {
    message: `"${withoutPassword(url)}" is not a place for files.`,
    remedy: 'Write s3://bucket/prefix, or file:./directory for files on this machine.',
  });
}

/** The place within the place: `orders/` under `s3://bucket/lake/`. */
export function within(location: Location, prefix: string): Location {
  const inner = tidy(prefix);
  return location.kind === 's3'
    ? { ...location, prefix: location.prefix + inner }
    : { kind: 'file', directory: resolve(location.directory, inner) };
}

/** As a URL that ends in '/'. */
export function urlOf(location: Location): string {
  if (location.kind === 's3') return `s3://${location.bucket}/${location.prefix}`;
  const { href } = pathToFileURL(location.directory);
  return href.endsWith('/') ? href : `${href}/`;
}

/** Without a slash at the front, with one at the end; `..` would lead out of the place. */
function tidy(prefix: string): string {
  const parts = prefix.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) {
    throw new MillraceError('CONFIG_INVALID', { message: `The prefix "${prefix}" leads out of its place.`, remedy: 'Leave out "..".' });
  }
  return parts.length === 0 ? '' : `${parts.join('/')}/`;
}

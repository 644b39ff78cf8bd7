import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SqlFile } from '@millrace/core/runtime';
import { invalid } from '../transform-step.ts';

/**
 * Reads the `.sql` files below a folder, in the order of their names. Line ends count as `\n`, so that a checkout on Windows is the same
 * deployment. Names that begin with a dot are left out.
 *
 * @throws PIPELINE_INVALID where there is nothing to read, or what is there is no text
 */
export function readSqlFiles(folder: URL): { readonly path: string; readonly files: readonly SqlFile[] } {
  if (!(folder instanceof URL) || folder.protocol !== 'file:') {
    throw invalid(
      `sqlObjects: ${JSON.stringify(String(folder))} does not say where the files are.`,
      "Write where they lie as seen from the pipeline file: new URL('./sql/', import.meta.url).",
    );
  }
  const path = fileURLToPath(folder);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    throw invalid(
      `sqlObjects: there is no folder ${path}.`,
      'Make it, or correct its name; the image of the workers must hold it as well.',
    );
  }
  const names = namesBelow(path, '').sort((a, b) => (a < b ? -1 : 1));
  if (names.length === 0)
    throw invalid(`sqlObjects: ${path} holds no .sql file.`, 'Put one there: views.sql, or 10-types.sql and 20-views.sql.');
  return { path, files: Object.freeze(names.map((name) => Object.freeze(readOne(path, name)))) };
}

function namesBelow(folder: string, prefix: string): string[] {
  return readdirSync(join(folder, prefix)).flatMap((name) => {
    if (name.startsWith('.')) return [];
    const inside = prefix === '' ? name : `${prefix}/${name}`;
    const found = statSync(join(folder, inside), { throwIfNoEntry: false });
    if (found?.isDirectory()) return namesBelow(folder, inside);
    return found?.isFile() && name.toLowerCase().endsWith('.sql') ? [inside] : [];
  });
}

function readOne(folder: string, name: string): SqlFile {
  const text = decode(readFileSync(join(folder, name)), name).replaceAll('\r\n', '\n');
  return { name, hash: createHash('sha256').update(text).digest('hex'), text };
}

function decode(bytes: Buffer, name: string): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!text.includes('\0')) return text;
  } catch {
    // Said below.
  }
  throw invalid(`sqlObjects: ${JSON.stringify(name)} is not text in UTF-8.`, 'Save it as UTF-8, without NUL characters.');
}

import { SourceMap } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Bundles that have been imported, by path, with the way back to the lines that people wrote. */
const maps = new Map<string, SourceMap>();

export function remember(bundle: string, map: string): void {
  maps.set(bundle, new SourceMap(JSON.parse(map)));
}

/** A stack trace, or any text with places of a bundle in it, as it would read without the bundle. */
export function withOriginalPlaces(text: string): string {
  if (maps.size === 0) return text;
  return text.replace(
    /((?:file:\/\/)?)(\/[^\s():]+\.mjs):(\d+):(\d+)/g,
    (place, scheme: string, path: string, line: string, column: string) => {
      const bundle = scheme === '' ? path : fileURLToPath(scheme + path);
      const entry = maps.get(bundle)?.findEntry(Number(line) - 1, Number(column) - 1);
      if (!entry || !('originalSource' in entry)) return place;
      const file = resolve(dirname(bundle), entry.originalSource);
      return `${pathToFileURL(file).href}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
    },
  );
}

import { existsSync, readFileSync } from 'node:fs';

/** Of this package. Its package.json is above `src` and `dist`, and further above what is bundled. */
export function version(): string {
  const [manifest] = ['../package.json', '../../package.json']
    .map((path) => new URL(path, import.meta.url))
    .filter((url) => existsSync(url));
  return JSON.parse(readFileSync(manifest as URL, 'utf8')).version;
}

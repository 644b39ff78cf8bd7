// The newest LTS of Node, from the platform packages that the npm package `node` installs. That package itself fetches
// them in an install script, which npm need not run; they are ordinary packages with the binary inside.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './setup.mjs';

/** The next even major becomes LTS in its October; raise this then. */
const major = 24;

/** @returns {{ path: string, version: string } | null} null after the reason was printed */
export function newestLts() {
  const platform = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const folder = join(root, '.millrace', `node-${major}`);
  const path = join(folder, 'node_modules', platform, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    const args = [
      'install',
      '--prefix',
      folder,
      '--no-save',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      `${platform}@${major}`,
    ];
    const { status } = spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
    if (status !== 0) {
      console.error(`npm could not install ${platform}@${major}.`);
      return null;
    }
  }
  const told = spawnSync(path, ['-p', 'process.version'], { encoding: 'utf8' });
  if (told.status !== 0) {
    console.error(`${path} does not run: ${told.error?.message ?? told.stderr}`);
    return null;
  }
  return { path, version: told.stdout.trim() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) newestLts();

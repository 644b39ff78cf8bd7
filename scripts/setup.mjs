// Everything the other scripts need, from nothing but Node and npm. Quick when there is nothing to do.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const stamp = join(root, '.millrace', 'setup.stamp');

/** Installs the packages and builds them. Ends the process when that fails. */
export function setup() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    stop(`Millrace needs Node 20.19 or newer; this is ${process.version}.`);
  }
  install();
  build();
}

/** @param {string} [project] */
export function build(project = '.') {
  if (run('building', process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', project]) !== 0) stop('The build failed.');
  if (run('bundling', process.execPath, [join(root, 'scripts/bundle.mjs')]) !== 0) stop('The packages could not be bundled.');
  if (run('compiling Java', process.execPath, [join(root, 'scripts/java.mjs')]) !== 0) stop('The Java part could not be compiled.');
}

function install() {
  const wanted = installation();
  if (existsSync(join(root, 'node_modules', '.modules.yaml')) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  // CI keeps pnpm from asking questions, and makes it refuse a lockfile that does not fit.
  const args = ['--yes', packageManager, 'install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only'];
  if (run('installing packages', 'npx', args, { CI: 'true' }) !== 0) stop('The installation failed. It needs the npm registry.');
  mkdirSync(join(root, '.millrace'), { recursive: true });
  writeFileSync(stamp, wanted);
}

/** What an installation depends on. */
function installation() {
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']) hash.update(readFileSync(join(root, file)));
  return `${hash.digest('hex')} ${process.platform} ${process.arch} ${root}\n`;
}

/**
 * Runs a command whose output is progress, so it goes to stderr.
 * @param {string} what
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
function run(what, command, args, env = {}) {
  const start = performance.now();
  console.error(`setup: ${what}`);
  const shell = process.platform === 'win32' && command === 'npx';
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, ...env }, shell });
  if (error) console.error(`setup: ${error.message}`);
  console.error(`setup: ${what} took ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return status ?? 1;
}

/**
 * @param {string} message
 * @returns {never}
 */
function stop(message) {
  console.error(message);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setup();

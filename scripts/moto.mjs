// An S3 server for tests: moto, which is a Python program. Found on PATH, or installed under .millrace/moto.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const environment = join(root, '.millrace', 'moto');
const installed = join(environment, 'bin', 'moto_server');
const packages = ['moto[s3]==5.2.1', 'flask', 'flask-cors'];

/** @returns {{ command: string } | { missing: string }} */
export function findMoto() {
  if (process.env.MILLRACE_TEST_MOTO === 'off') return { missing: 'MILLRACE_TEST_MOTO is "off"' };
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'moto_server'));
  const command = [installed, ...onPath].find(executable);
  return command
    ? { command }
    : { missing: 'no S3 server: moto_server is not on PATH, nor under .millrace/moto ("node scripts/moto.mjs" installs it)' };
}

/**
 * Finds moto, or installs it where Python is there. Never fails: tests of S3 are left out, and the reason is printed.
 * @returns {{ command: string } | { missing: string }}
 */
export function provideMoto() {
  const found = findMoto();
  if ('command' in found || process.env.MILLRACE_TEST_MOTO === 'off') return found;
  if (spawnSync('python3', ['--version']).status !== 0) return { missing: 'no S3 server: neither moto_server nor python3 is on PATH' };
  console.error('Installing moto, the S3 server that the tests use, under .millrace/moto');
  for (const [command, args] of /** @type {[string, string[]][]} */ ([
    ['python3', ['-m', 'venv', environment]],
    [join(environment, 'bin', 'python3'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]],
  ])) {
    const step = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', timeout: 300_000 });
    if (step.status !== 0) {
      const why = step.error?.message ?? step.stderr.trim().split('\n').at(-1);
      return { missing: `no S3 server: "${[command, ...args].join(' ')}" failed: ${why}` };
    }
  }
  return findMoto();
}

/** @param {string} path */
function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return existsSync(path);
  } catch {
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(provideMoto());

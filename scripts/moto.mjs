// An S3 server for tests, which plays Glue, EventBridge, SNS and SQS too: moto, a Python program. Found on PATH, or installed under .millrace.
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installPython } from './python.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const environment = join(root, '.millrace', 'moto-aws');
const installed = join(environment, 'bin', 'moto_server');
const packages = ['moto[s3,glue,events]==5.2.1', 'flask', 'flask-cors'];

/** @returns {{ command: string } | { missing: string }} */
export function findMoto() {
  if (process.env.MILLRACE_TEST_MOTO === 'off') return { missing: 'MILLRACE_TEST_MOTO is "off"' };
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'moto_server'));
  const command = [installed, ...onPath].find(executable);
  return command
    ? { command }
    : { missing: 'no S3 server: moto_server is not on PATH, nor under .millrace ("node scripts/moto.mjs" installs it)' };
}

/**
 * Finds moto, or installs it where Python is there. Never fails: tests of S3 are left out, and the reason is printed.
 * @returns {{ command: string } | { missing: string }}
 */
export function provideMoto() {
  const found = findMoto();
  if ('command' in found || process.env.MILLRACE_TEST_MOTO === 'off') return found;
  console.error('Installing moto, the S3 server that the tests use, under .millrace');
  const why = installPython(environment, packages);
  return why === null ? findMoto() : { missing: `no S3 server: ${why}` };
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

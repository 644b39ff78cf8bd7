import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findDeployLint } from '../scripts/deploy-lint.mjs';

const root = join(import.meta.dirname, '..');
const found = findDeployLint();
if ('missing' in found) console.error(`The files of a deployment are not checked by others' programs: ${found.missing}.`);

test.skipIf('missing' in found).each([
  ['cfn-lint', '--include-checks', 'I', '--', 'deploy/ecs.yaml'],
  ['hadolint', '--no-color', '--failure-threshold', 'style', 'Dockerfile'],
  ['check-jsonschema', '--builtin-schema', 'vendor.compose-spec', 'compose.yaml', 'examples/fleet/compose.yaml'],
])('%s has nothing against it', (command, ...args) => {
  const { status, stdout, stderr } = spawnSync(join((found as { bin: string }).bin, command), args, { cwd: root, encoding: 'utf8' });
  expect(`${stdout}${stderr}`.replace('ok -- validation done\n', '')).toBe('');
  expect(status).toBe(0);
});

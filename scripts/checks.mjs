// The checks that need no database: each is a command that says nothing new when it passes.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

const bin = (/** @type {string} */ path) => join(root, 'node_modules', path);

/** @type {{ name: string, command: string[] }[]} */
export const checks = [
  { name: 'lint and format', command: [bin('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings'] },
  { name: 'types of tests and scripts', command: [bin('typescript/bin/tsc'), '-p', 'tsconfig.test.json'] },
  { name: 'dependency direction', command: ['scripts/direction.mjs'] },
  { name: 'docs/errors.md', command: ['--import', 'tsx', 'scripts/errors.ts', '--check'] },
  ...readdirSync(join(root, 'packages')).map((name) => ({
    name: `publint ${name}`,
    command: [bin('publint/src/cli.js'), `packages/${name}`, '--strict', '--pack', 'npm'],
  })),
];

/** @param {{ command: string[] }} check */
export function passes({ command }) {
  return spawnSync(process.execPath, command, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}

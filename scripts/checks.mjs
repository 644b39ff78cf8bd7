// The checks that need no database: each is a command that says nothing new when it passes.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
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

/**
 * Runs commands of Node side by side, as many at once as there are cores, and tells of each when it has ended: its output, and whether it
 * passed. Answers how many have not.
 * @param {{ name: string, command: string[] }[]} commands
 * @param {(name: string, passed: boolean, seconds: number, output: string) => void} tell
 */
export async function runAll(commands, tell) {
  const left = [...commands];
  let failed = 0;
  const lane = async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      const start = performance.now();
      const { passed, output } = await run(next.command);
      if (!passed) failed++;
      tell(next.name, passed, (performance.now() - start) / 1000, output);
    }
  };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, lane));
  return failed;
}

/**
 * @param {string[]} command
 * @returns {Promise<{ passed: boolean, output: string }>}
 */
function run(command) {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(process.execPath, command, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    child.once('error', ({ message }) => resolve({ passed: false, output: `${output}${message}\n` }));
    child.once('close', (code) => resolve({ passed: code === 0, output }));
  });
}

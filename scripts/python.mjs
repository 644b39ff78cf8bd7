// Programs written in Python, each with an environment of its own, so that nothing on the machine changes.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/**
 * Installs packages of PyPI where Python is there.
 * @param {string} environment
 * @param {string[]} packages
 * @returns {string | null} why not; null where it is done
 */
export function installPython(environment, packages) {
  if (spawnSync('python3', ['--version']).status !== 0) return 'python3 is not on PATH';
  for (const [command, args] of /** @type {[string, string[]][]} */ ([
    ['python3', ['-m', 'venv', environment]],
    [join(environment, 'bin', 'python3'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]],
  ])) {
    const step = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', timeout: 300_000 });
    if (step.status === 0) continue;
    const why = step.error?.message ?? step.stderr.trim().split('\n').at(-1);
    return `"${[command, ...args].join(' ')}" failed: ${why}`;
  }
  return null;
}

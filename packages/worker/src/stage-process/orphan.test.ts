import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { transformSync } from 'esbuild';
import { expect, test } from 'vitest';
import { lives } from '../../../cli/src/embedded/process.ts';
import { killedWithParent } from './orphan.ts';

const { execPath } = process;
const { code } = transformSync(readFileSync(`${import.meta.dirname}/orphan.ts`, 'utf8'), { loader: 'ts' });

/** The process id of a program that blocks for ever, whose parent was killed as soon as it had said "blocked", or at once. */
function orphan(before: readonly string[], how: string, atOnce: boolean): number {
  const blocks = `
    import { writeSync } from 'node:fs';
    ${code}
    endWithParent(process.env.TOLD);
    // A pipeline comes by a message, when all that starts with the process has started.
    setTimeout(() => {
      writeSync(1, 'blocked');
      for (;;) {}
    }, 300);`;
  const [program, ...args] = [...before, execPath, '--input-type=module', '-e', blocks];
  const parent = `
    const child = require('node:child_process').spawn(${JSON.stringify(program)}, ${JSON.stringify(args)}, {
      env: { ...process.env, TOLD: '${how}:' + process.pid }, stdio: ['ignore', 'pipe', 'inherit'],
    });
    require('node:fs').writeSync(1, String(child.pid));
    const die = () => process.kill(process.pid, 'SIGKILL');
    ${atOnce ? 'die();' : "child.stdout.on('data', die);"}`;
  const { stdout, signal } = spawnSync(execPath, ['-e', parent], { encoding: 'utf8', timeout: 60_000 });
  expect(signal).toBe('SIGKILL');
  return Number.parseInt(stdout, 10);
}

test.each([
  ['a thread of its own', 'watches', [], false],
  ['a thread of its own', 'watches', [], true],
  ['the kernel', 'killed-with', killedWithParent(), false],
  ['the kernel', 'killed-with', killedWithParent(), true],
] as const)('a process that blocks ends with its parent by %s (%s, %j, at once: %j)', async (_, how, before, atOnce) => {
  if (before === null) return void expect(process.platform).not.toBe('linux'); // there is no such command
  const pid = orphan(before, how, atOnce);
  for (let waited = 0; lives(pid) && waited < 20_000; waited += 50) await sleep(50);
  const left = lives(pid);
  if (left) process.kill(pid, 'SIGKILL');
  expect(left).toBe(false);
});

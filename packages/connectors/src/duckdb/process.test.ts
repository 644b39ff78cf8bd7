import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';

const lives = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test.each([0, 1_500])('a converter does not outlive a process that dies %i ms after it has started it', async (afterMs) => {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const parent = `
    const { fork } = require('node:child_process');
    const flags = ['--conditions=millrace-source', '--import=' + ${JSON.stringify(tsx)}];
    const child = fork(${JSON.stringify(`${import.meta.dirname}/child.ts`)}, [], { execArgv: flags, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    require('node:fs').writeSync(1, String(child.pid));
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${afterMs});`;
  const { stdout, signal } = spawnSync(process.execPath, ['-e', parent], { encoding: 'utf8' });
  expect(signal).toBe('SIGKILL');
  for (let waited = 0; lives(Number(stdout)) && waited < 20_000; waited += 50) await sleep(50);
  expect(lives(Number(stdout))).toBe(false);
});

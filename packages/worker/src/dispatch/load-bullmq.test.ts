import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { installed } from './load-bullmq.ts';

it('says what to install where the queue is not installed', async () => {
  const name = 'no-such-package';
  await expect(installed(name, () => import(name))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('"no-such-package"'),
    remedy: expect.stringContaining('npm install bullmq@6 ioredis@6'),
  });
  await expect(installed(name, () => Promise.reject(new Error('it is broken')))).rejects.toThrow('it is broken');
});

it('is not loaded by a process that has no fleet', () => {
  const script = `
    import { createRequire } from 'node:module';
    await import(${JSON.stringify(new URL('../index.ts', import.meta.url).href)});
    const loaded = Object.keys(createRequire(import.meta.url).cache).filter((path) => /[\\\\/](bullmq|ioredis)[\\\\/]/.test(path));
    console.log(JSON.stringify(loaded));`;
  const args = ['--conditions=millrace-source', '--import', 'tsx', '--input-type=module', '-e', script];
  const output = execFileSync(process.execPath, args, { cwd: fileURLToPath(new URL('../..', import.meta.url)), encoding: 'utf8' });
  expect(JSON.parse(output)).toEqual([]);
});

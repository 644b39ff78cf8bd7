import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { testSpool } from './spool.ts';

test('spools are empty directories of one process, and go with the next one', () => {
  const [first, second] = [testSpool(), testSpool()];
  expect(first).not.toBe(second);
  expect(existsSync(first)).toBe(true);
  // A process that is over: its number is not given again at once.
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  const left = join(dirname(first), `${pid}-left`);
  mkdirSync(left);
  writeFileSync(join(left, 'a-file'), '');
  const later = spawnSync(
    process.execPath,
    ['--import', 'tsx', '-e', `(await import(${JSON.stringify(import.meta.resolve('./spool.ts'))})).testSpool()`],
    {
      cwd: join(import.meta.dirname, '../../../..'),
      encoding: 'utf8',
    },
  );
  expect(later.stderr).toBe('');
  expect([existsSync(left), existsSync(first)]).toEqual([false, true]);
});

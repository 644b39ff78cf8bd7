import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeAttemptSpool, openSpool, spoolOf } from './spool.ts';

let project: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'millrace-spool-'));
});
afterEach(() => rmSync(project, { recursive: true }));

test('what dead processes have left in the spool goes, what living ones use stays', async () => {
  await openSpool(project);
  // A process that is over: its number is not given again at once.
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  for (const name of [`${pid}-abcdef-loaded-1`, `${process.pid}-abcdef-loaded-1`, 'notes'])
    mkdirSync(join(spoolOf(project), name, 'out'), { recursive: true });
  await openSpool(project);
  expect(readdirSync(spoolOf(project)).sort()).toEqual([`${process.pid}-abcdef-loaded-1`, 'notes'].sort());
});

test('a place where no folder can be is told as such', async () => {
  writeFileSync(join(project, '.millrace'), '');
  await expect(openSpool(project)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('.millrace/spool'),
    remedy: expect.stringContaining('.millrace'),
  });
  await expect(makeAttemptSpool(join(spoolOf(project), '1-abcdef-loaded-1'))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('.millrace/spool'),
  });
});

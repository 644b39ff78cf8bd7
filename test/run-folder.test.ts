import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sweep } from './run-folder.ts';

describe('the folders of killed test runs', () => {
  test('go with the disks that are still mounted there; those of runs that live stay', ({ skip }) => {
    const parent = mkdtempSync(join(tmpdir(), 'sweep-'));
    const killed = join(parent, `millrace-tests-${deadPid()}-aaaaaa`);
    const disk = join(killed, 'disk');
    const living = join(parent, `millrace-tests-${process.pid}-bbbbbb`);
    mkdirSync(disk, { recursive: true });
    mkdirSync(living);
    mkdirSync(join(parent, 'not-ours'));
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { encoding: 'utf8' });
    if (mount.status !== 0) skip(`no file system can be mounted here (${mount.stderr?.trim() || mount.error?.message})`);
    try {
      sweep(parent);
      expect(existsSync(killed)).toBe(false);
      expect(readdirSync(parent).sort()).toEqual([`millrace-tests-${process.pid}-bbbbbb`, 'not-ours']);
    } finally {
      rmSync(parent, { recursive: true, force: true });
    }
  });
});

function deadPid(): number {
  return spawnSync('true').pid;
}

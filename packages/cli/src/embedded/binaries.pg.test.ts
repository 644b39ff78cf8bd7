import { cpSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { postgresBinaries } from './binaries.ts';

const asRoot = process.getuid?.() === 0;

test('binaries in a folder that the account cannot enter are copied to one where it can', () => {
  if (!asRoot) return console.log('only root runs the server as another user');
  const { folder } = postgresBinaries(undefined);
  const closed = mkdtempSync(join(tmpdir(), 'millrace-binaries-'));
  try {
    cpSync(join(folder, '..', 'package.json'), join(closed, 'package.json'));
    cpSync(folder, join(closed, 'native'), { recursive: true, verbatimSymlinks: true });
    const copy = postgresBinaries({ uid: 65534, gid: 65534 }, join(closed, 'native'));
    expect(copy.folder).not.toContain(closed);
    expect(copy.major).toBe(18);
    const library = readdirSync(join(copy.folder, 'lib')).find((name) => name.startsWith('libpq.') && name.split('.').length > 3)!;
    rmSync(join(copy.folder, 'lib', library)); // a cleaner of temporary files came by
    postgresBinaries({ uid: 65534, gid: 65534 }, join(closed, 'native'));
    expect(statSync(join(copy.folder, 'lib', library)).size).toBeGreaterThan(0);
  } finally {
    rmSync(closed, { recursive: true, force: true });
  }
});

test('libraries get their links without an install script', () => {
  const { folder } = postgresBinaries(undefined);
  const copy = mkdtempSync(join(tmpdir(), 'millrace-binaries-'));
  try {
    cpSync(folder, copy, { recursive: true, verbatimSymlinks: true });
    const links = readdirSync(join(copy, 'lib'), { withFileTypes: true }).filter((entry) => entry.isSymbolicLink());
    for (const link of links) rmSync(join(copy, 'lib', link.name));
    expect(postgresBinaries(undefined, copy).folder).toBe(copy);
    for (const link of links) expect(realpathSync(join(copy, 'lib', link.name))).toContain(realpathSync(copy));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});

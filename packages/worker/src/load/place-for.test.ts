import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundle } from './bundle.ts';
import { placeFor } from './place-for.ts';

const home = mkdtempSync(join(tmpdir(), 'millrace-place-'));
const project = join(home, 'project');
const file = join(project, 'pipelines/a.ts');

/** Packages of the project, and of the folder in which it stands. */
beforeAll(() => {
  for (const [folder, name] of [
    [project, 'near'],
    [home, 'far'],
  ] as const) {
    mkdirSync(join(folder, 'node_modules', name), { recursive: true });
    writeFileSync(join(folder, 'node_modules', name, 'index.js'), `module.exports = '${name}';`);
  }
  mkdirSync(join(project, 'pipelines'));
  writeFileSync(file, "import near from 'near';\nimport far from 'far';\nconsole.log(near, far, (await import('near')).default);\n");
});
afterAll(() => {
  chmodSync(join(project, 'node_modules'), 0o755);
  rmSync(home, { recursive: true, force: true });
});

test('a bundle is put where its packages are found', async () => {
  expect(await placeFor(file)).toBe(join(project, 'node_modules/.millrace'));
});

test('where nothing can be written its packages are found from a place of its own, which goes with the process', async (context) => {
  // For root nothing is forbidden: then somebody else tries.
  const other = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  if (spawnSync(process.execPath, ['-e', ''], { ...other, cwd: '/' }).status !== 0) return context.skip('Only root can run this Node.');
  const script = await importing();
  chmodSync(join(project, 'node_modules'), 0o555);
  chmodSync(home, 0o755);
  isElsewhere(spawnSync(process.execPath, [script], { ...other, cwd: '/', encoding: 'utf8', env: { TMPDIR: tmpdir() } }));
});

test('on a read-only disk they are as well', async (context) => {
  const script = await importing();
  const mount = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"';
  const onDisk = (...command: string[]) =>
    spawnSync('unshare', ['--mount', 'sh', '-c', mount, 'sh', project, ...command], { encoding: 'utf8' });
  if (onDisk('true').status !== 0) return context.skip('Nothing can be mounted here.');
  isElsewhere(onDisk(process.execPath, script));
});

/** A script that finds a place for the bundle and imports it from there; the place beside the packages is not there yet. */
async function importing(): Promise<string> {
  chmodSync(join(project, 'node_modules'), 0o755);
  rmSync(join(project, 'node_modules/.millrace'), { recursive: true, force: true });
  for (const [name, source] of [
    ['place-for.mjs', join(import.meta.dirname, 'place-for.ts')],
    ['a.mjs', file],
  ] as const) {
    writeFileSync(join(home, name), (await bundle(source, join(home, name))).code);
  }
  const script = join(home, 'script.mjs');
  writeFileSync(
    script,
    `import { copyFileSync } from 'node:fs';
     import { join } from 'node:path';
     import { placeFor } from './place-for.mjs';
     const place = await placeFor(${JSON.stringify(file)});
     copyFileSync(${JSON.stringify(join(home, 'a.mjs'))}, join(place, 'a.mjs'));
     console.log(place);
     await import(join(place, 'a.mjs'));`,
  );
  return script;
}

function isElsewhere(ran: { readonly stdout: string; readonly stderr: string }): void {
  expect(ran.stderr).toBe('');
  const [place = '', output] = ran.stdout.trim().split('\n');
  expect(output).toBe('near far near');
  expect(place).toContain('millrace-bundle-');
  expect(existsSync(place)).toBe(false);
}

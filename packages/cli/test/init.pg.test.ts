import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test, vi } from 'vitest';
import { millrace } from './command.ts';
import { testProject } from './project.ts';

vi.setConfig({ testTimeout: 240_000 });

test('init makes a project that runs at once, on a Postgres that nobody had to install, and whose test passes', async () => {
  using folder = testProject();
  const made = await millrace(['init', 'Shop pipelines'], { cwd: folder.root, asInstalled: true });
  expect(made).toMatchObject({ code: 0, stderr: expect.stringContaining("cd 'Shop pipelines' && npm install") });
  const cwd = join(folder.root, 'Shop pipelines');
  expect(JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8'))).toMatchObject({ name: 'shop-pipelines', type: 'module' });
  expect(readFileSync(join(cwd, '.gitignore'), 'utf8')).toContain('.env');
  expect(readFileSync(join(cwd, 'README.md'), 'utf8').split('\n').length).toBeLessThanOrEqual(22);

  const run = await millrace(['run', 'daily-sales'], { cwd, asInstalled: true });
  expect(`${run.code} ${run.stderr}`).toMatch(/^0 /);
  expect(run.stdout).toMatch(/^loaded +succeeded +rows +9,800 /m);
  const verified = await millrace(['verify', 'daily-sales', '--json'], { cwd, asInstalled: true });
  expect(verified.json()[0]).toMatchObject({ equal: true, targets: [{ rows: { expected: 9800, stored: 9800 } }] });

  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const tested = spawnSync(process.execPath, ['--conditions=millrace-source', '--import', tsx, '--test', 'pipelines/daily-sales.test.ts'], {
    cwd,
    encoding: 'utf8',
  });
  expect(tested.stdout).toMatch(/# pass 2/);
  expect(tested.status).toBe(0);
});

test('init touches nothing that is there', async () => {
  using folder = testProject();
  const before = readdirSync(folder.root);
  writeFileSync(join(folder.root, 'README.md'), 'mine');
  const refused = await millrace(['init'], { cwd: folder.root });
  expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('package.json, README.md') });
  expect(readdirSync(folder.root).sort()).toEqual([...before, 'README.md'].sort());
  expect(readFileSync(join(folder.root, 'README.md'), 'utf8')).toBe('mine');
});

test('init that cannot write leaves nothing behind', async () => {
  using folder = testProject();
  rmSync(join(folder.root, 'package.json'));
  writeFileSync(join(folder.root, 'tables'), 'mine');
  const refused = await millrace(['init'], { cwd: folder.root });
  expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/cannot be written.*tables.*Nothing was left/s) });
  expect(readdirSync(folder.root)).toEqual(['tables']);
});

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { defineConfig } from '@millrace/core';
import { expect, test } from 'vitest';
import { parseConfig } from './config.ts';
import { embeddedDatabase, isEmbeddedUrl } from './embedded-url.ts';
import { globFiles } from './glob.ts';

function folderWith(...files: string[]): string {
  const root = mkdtempSync(join(tmpdir(), 'millrace-glob-'));
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), '');
  }
  return root;
}

test.each([
  ['pipelines/*.ts', ['pipelines/a.ts', 'pipelines/b.ts']],
  ['./pipelines/**/*.ts', ['pipelines/a.ts', 'pipelines/b.ts', 'pipelines/deep/er/c.ts']],
  ['**/*.{js,mts}', ['other/e.mts', 'x.js']],
  ['pipelines/?.ts', ['pipelines/a.ts', 'pipelines/b.ts']],
  ['nowhere/*.ts', []],
  ['pipelines/a.ts/x', []],
])('%s names its files and no others', (pattern, files) => {
  const root = folderWith(
    'pipelines/a.ts',
    'pipelines/b.ts',
    'pipelines/deep/er/c.ts',
    'pipelines/.hidden.ts',
    'node_modules/d.js',
    'other/e.mts',
    'x.js',
  );
  expect(globFiles(root, pattern)).toEqual(files);
});

test('a config that makes sense is taken as it is', () => {
  const config = defineConfig({
    pipelines: 'p/*.ts',
    environments: {
      local: { secrets: ['.env', { secretsManager: 'prod/' }, { parameterStore: '/prod/', region: 'eu-west-1' }], concurrency: 4 },
    },
  });
  expect(parseConfig(config, 'millrace.config.ts')).toBe(config);
});

test.each([
  [undefined, 'no default export'],
  [{ environments: { local: {} } }, '"pipelines"'],
  [{ pipelines: 'p/*.ts', environments: {} }, '"environments" is missing'],
  [{ pipelines: 'p/*.ts', environments: { local: { stat: 'postgres://' } } }, 'environment "local": "stat" is not a setting'],
  [{ pipelines: 'p/*.ts', environments: { local: { secrets: ['vault'] } } }, 'secrets cannot come from "vault"'],
  [{ pipelines: 'p/*.ts', environments: { local: { executor: 'cron' } } }, 'no executor "cron"'],
  [{ pipelines: 'p/*.ts', environments: { local: { concurrency: 0 } } }, '"concurrency"'],
  [{ pipelines: 'p/*.ts', environments: { local: { fleet: { drain: 'soon' } } } }, '"fleet.drain" is not a duration'],
  [{ pipelines: 'p/*.ts', environments: { local: { fleet: { leases: '60s' } } } }, '"fleet.leases" is not a setting; there are name'],
])('of the config %j it says what is wrong', (config, message) => {
  expect(() => parseConfig(config, 'millrace.config.ts')).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
  );
});

test('embedded:shop names a database, and nothing else does', () => {
  expect(isEmbeddedUrl('embedded:shop')).toBe(true);
  expect(isEmbeddedUrl('postgres://embedded:shop@host/db')).toBe(false);
  expect(embeddedDatabase('embedded:shop-2')).toBe('shop-2');
  expect(() => embeddedDatabase('embedded:')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  expect(() => embeddedDatabase('embedded:a"; drop database b')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
});

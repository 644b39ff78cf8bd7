import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Project } from './config.ts';
import { readDotenv } from './dotenv.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-dotenv-'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
  for (const name of ['MILLRACE_DOTENV_A', 'MILLRACE_DOTENV_B']) delete process.env[name];
});

const project = (secrets?: string[]): Project => ({ root, environment: { ...(secrets && { secrets }) } }) as unknown as Project;

test('a file of an editor on Windows is read like any other', () => {
  writeFileSync(join(root, '.env'), '\uFEFFMILLRACE_DOTENV_A=one # of two\r\nexport MILLRACE_DOTENV_B="p#w with blanks"\r\n');
  readDotenv(project());
  expect([process.env['MILLRACE_DOTENV_A'], process.env['MILLRACE_DOTENV_B']]).toEqual(['one', 'p#w with blanks']);
});

test('of the file and the environment the one that is named first wins', () => {
  writeFileSync(join(root, '.env'), 'MILLRACE_DOTENV_A=file');
  process.env['MILLRACE_DOTENV_A'] = 'environment';
  readDotenv(project(['env', '.env']));
  expect(process.env['MILLRACE_DOTENV_A']).toBe('environment');
  readDotenv(project(['.env', 'env']));
  expect(process.env['MILLRACE_DOTENV_A']).toBe('file');
});

test('a folder of that name is told as such', () => {
  mkdirSync(join(root, '.env'));
  expect(() => readDotenv(project())).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('.env') }),
  );
  expect(() => readDotenv(project(['env']))).not.toThrow();
});

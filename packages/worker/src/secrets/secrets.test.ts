import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { secret } from '@millrace/core/runtime';
import { describe, expect, it } from 'vitest';
import { redactError } from './redact.ts';
import { environmentSecrets } from './secrets.ts';

function project(env: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-secrets-'));
  writeFileSync(join(directory, '.env'), env);
  return directory;
}

describe('secrets', () => {
  it('come from .env before the process environment', async () => {
    const secrets = environmentSecrets({ directory: project('A=file\n'), env: { A: 'process', B: 'process' } });
    expect(await secrets.get(secret('A'))).toBe('file');
    expect(await secrets.get(secret('B'))).toBe('process');
  });

  it('come in the order of the environment', async () => {
    const secrets = environmentSecrets({ directory: project('A=file\n'), env: { A: 'process' }, sources: ['env', '.env'] });
    expect(await secrets.get(secret('A'))).toBe('process');
  });

  it('are missing with the places that were looked at', async () => {
    const secrets = environmentSecrets({ directory: project(''), env: {} });
    await expect(secrets.get(secret('NOPE'))).rejects.toMatchObject({ code: 'SECRET_MISSING', message: expect.stringContaining('"NOPE"') });
  });
});

describe('redaction', () => {
  it('hides a value in every form, and the password of a URL', async () => {
    const url = 'postgres://shop:other-pw@db.example:5432/shop';
    const secrets = environmentSecrets({ directory: project(''), env: { URL: 'postgres://shop:p%40ssword@db/shop', KEY: 'a"b\\c' } });
    await secrets.get(secret('URL'));
    await secrets.get(secret('KEY'));
    expect(secrets.redact('tried postgres://shop:p%40ssword@db/shop')).toBe('tried ***');
    expect(secrets.redact('password p@ssword refused')).toBe('password *** refused');
    expect(secrets.redact(JSON.stringify({ key: 'a"b\\c' }))).toBe('{"key":"***"}');
    expect(secrets.redact(`never seen: ${url}`)).not.toContain('other-pw');
  });

  it('hides every text in a JSON object, however deep', async () => {
    const value = '{"host": "db.example", "port": 5432, "users": [{"name": "etl", "password": "geheim"}, {"password": "auch-geheim"}]}';
    const secrets = environmentSecrets({ directory: project(''), env: { LOGINS: value } });
    await secrets.get(secret('LOGINS'));
    expect(secrets.redact('geheim and auch-geheim at db.example:5432')).toBe('*** and *** at db.example:5432');
  });

  it('lets the place of a lake be seen', async () => {
    const secrets = environmentSecrets({ directory: project(''), env: { LAKE: 'file:./lake' } });
    await secrets.get(secret('LAKE'));
    expect(secrets.redact('no space in file:./lake')).toBe('no space in file:./lake');
  });

  it('reaches into the facts of an error', async () => {
    const secrets = environmentSecrets({ directory: project(''), env: { KEY: 'geheim' } });
    await secrets.get(secret('KEY'));
    const error = { code: 'INTERNAL', message: 'geheim!', remedy: 'no', facts: { deep: [{ value: 'xgeheimx' }], count: 5n } } as const;
    expect(redactError(error, secrets)).toEqual({
      code: 'INTERNAL',
      message: '***!',
      remedy: 'no',
      facts: { deep: [{ value: 'x***x' }], count: '5' },
    });
  });
});

import { randomUUID } from 'node:crypto';
import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { secret } from '@millrace/core/runtime';
import { afterEach, beforeEach, expect, inject, it, vi } from 'vitest';
import { environmentSecrets } from './secrets.ts';

beforeEach(() => {
  vi.stubEnv('AWS_ENDPOINT_URL', inject('s3'));
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  vi.stubEnv('AWS_REGION', 'us-east-1');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

it('Secrets Manager: by name, by ARN, by key, several at once, and after a rotation', async () => {
  const manager = new SecretsManagerClient({});
  const at = `test-${randomUUID()}`;
  const make = async (name: string, SecretString: string) =>
    (await manager.send(new CreateSecretCommand({ Name: `${at}/${name}`, SecretString }))).ARN ?? '';
  const arn = await make('LOGIN', '{"username":"etl","password":"first-password"}');
  await make('SALT', 'pepper');
  const secrets = environmentSecrets({ directory: '/nowhere', sources: [{ secretsManager: `${at}/` }] });
  const both = ['LOGIN#username', 'SALT'].map((name) => secrets.get(secret(name)));
  expect(await Promise.all(both)).toEqual(['etl', 'pepper']);
  expect(await secrets.get(secret(`${arn}#password`))).toBe('first-password');
  expect(await secrets.get(secret('LOGIN#password'))).toBe('first-password');
  await manager.send(
    new PutSecretValueCommand({ SecretId: `${at}/LOGIN`, SecretString: '{"username":"etl","password":"second-password"}' }),
  );
  expect(await secrets.get(secret('LOGIN#password'))).toBe('first-password');
  expect(await secrets.get(secret('LOGIN#password'), 'first-password')).toBe('second-password');
  expect(secrets.redact('first-password, second-password, pepper')).toBe('***, ***, ***');
  await expect(secrets.get(secret('NONE'))).rejects.toMatchObject({
    code: 'SECRET_MISSING',
    remedy: expect.stringContaining(`"${at}/NONE"`),
  });
});

it('Parameter Store: several at once, decrypted, and none that is not there', async () => {
  const ssm = new SSMClient({});
  const at = `/test-${randomUUID()}`;
  for (const [name, Type] of [
    ['URL', 'SecureString'],
    ['REGION', 'String'],
  ] as const)
    await ssm.send(new PutParameterCommand({ Name: `${at}/${name}`, Value: `value of ${name}`, Type }));
  const secrets = environmentSecrets({ directory: '/nowhere', sources: [{ parameterStore: `${at}/` }] });
  const all = ['URL', 'REGION', 'NONE'].map((name) => secrets.get(secret(name)));
  all[2]?.catch(() => {}); // told below
  expect(await Promise.all(all.slice(0, 2))).toEqual(['value of URL', 'value of REGION']);
  await expect(all[2]).rejects.toMatchObject({ code: 'SECRET_MISSING', message: expect.stringContaining('Parameter Store') });
});

import { secret } from '@millrace/core/runtime';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type SecretService, type ServiceAnswer, type ServiceRequest, secretService } from '../../test/secret-service.ts';
import { environmentSecrets } from './secrets.ts';

let answer: (request: ServiceRequest) => ServiceAnswer;
let service: SecretService;
let time: number;

beforeEach(async () => {
  service = await secretService((request) => answer(request));
  time = 0;
  vi.stubEnv('AWS_ENDPOINT_URL', service.url);
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  vi.stubEnv('AWS_REGION', 'us-east-1');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await service[Symbol.asyncDispose]();
});

const managed = (prefix = '') =>
  environmentSecrets({ directory: '/nowhere', sources: ['env', { secretsManager: prefix }], env: { HERE: 'here' }, now: () => time });
const parameters = () => environmentSecrets({ directory: '/nowhere', sources: [{ parameterStore: '/prod/' }], now: () => time });
const asked = () => service.requests.map(({ operation }) => operation);
const ids = () => service.requests.map(({ parameters: { SecretId, SecretIdList } }) => SecretId ?? SecretIdList);

const holding =
  (secrets: Readonly<Record<string, string>>) =>
  (request: ServiceRequest): ServiceAnswer => {
    const { SecretId, SecretIdList } = request.parameters as { SecretId?: string; SecretIdList?: string[] };
    if (SecretIdList)
      return {
        SecretValues: SecretIdList.flatMap((id) => (id in secrets ? [{ Name: id, SecretString: secrets[id] }] : [])),
        Errors: SecretIdList.flatMap((id) => (id in secrets ? [] : [{ SecretId: id, ErrorCode: 'ResourceNotFoundException' }])),
      };
    const text = secrets[SecretId ?? ''];
    return text === undefined ? { status: 400, error: 'ResourceNotFoundException' } : { Name: SecretId, SecretString: text };
  };

it('a secret that many want at once is asked for once, and again after five minutes', async () => {
  answer = holding({ 'prod/URL': 'one' });
  const secrets = managed('prod/');
  const get = () => secrets.get(secret('URL'));
  expect(await Promise.all([get(), get(), get()])).toEqual(['one', 'one', 'one']);
  time = 4 * 60_000;
  expect(await get()).toBe('one');
  expect(asked()).toEqual(['GetSecretValue']);
  answer = holding({ 'prod/URL': 'two' });
  time = 5 * 60_000;
  expect(await get()).toBe('two');
  expect(asked()).toEqual(['GetSecretValue', 'GetSecretValue']);
});

it('a value that was refused is asked for anew, once for all who were refused', async () => {
  answer = holding({ URL: 'old' });
  const secrets = managed();
  expect(await secrets.get(secret('URL'))).toBe('old');
  answer = holding({ URL: 'new' });
  expect(await Promise.all([1, 2, 3].map(() => secrets.get(secret('URL'), 'old')))).toEqual(['new', 'new', 'new']);
  expect(await secrets.get(secret('URL'), 'old')).toBe('new');
  expect(asked()).toHaveLength(2);
});

it('several secrets come in one request, and what it does not answer is asked for alone', async () => {
  answer = holding({ 'p/A': 'a', 'p/B': 'b' });
  const secrets = managed('p/');
  const all = ['A', 'B', 'C'].map((name) => secrets.get(secret(name)));
  all[2]?.catch(() => {}); // told below
  expect(await Promise.all(all.slice(0, 2))).toEqual(['a', 'b']);
  await expect(all[2]).rejects.toMatchObject({ code: 'SECRET_MISSING', message: expect.stringContaining('AWS Secrets Manager under p/') });
  expect(ids()).toEqual([['p/A', 'p/B', 'p/C'], 'p/C']);
});

it('a role that may not ask for many asks one by one from then on', async () => {
  const single = holding({ A: 'a', B: 'b', C: 'c', D: 'd' });
  answer = (request) => (request.operation.startsWith('Batch') ? { status: 400, error: 'AccessDeniedException' } : single(request));
  const secrets = managed();
  const both = (...names: string[]) => Promise.all(names.map((name) => secrets.get(secret(name))));
  expect([...(await both('A', 'B')), ...(await both('C', 'D'))]).toEqual(['a', 'b', 'c', 'd']);
  expect(asked().filter((operation) => operation.startsWith('Batch'))).toHaveLength(1);
});

it('values of one JSON object come with one request, and each is hidden from then on', async () => {
  const text = JSON.stringify({ SHOP_URL: 'postgres://u:geheim@host/db', PORT: 5439, username: 'etluser', password: 'sesame' });
  answer = holding({ prod: text });
  const secrets = managed('prod#');
  expect(await Promise.all([secrets.get(secret('SHOP_URL')), secrets.get(secret('PORT'))])).toEqual([
    'postgres://u:geheim@host/db',
    '5439',
  ]);
  expect(await managed().get(secret('prod#password'))).toBe('sesame');
  expect(ids()).toEqual(['prod', 'prod']);
  await secrets.get(secret('HERE'));
  await expect(secrets.get(secret('NONE'))).rejects.toMatchObject({ code: 'SECRET_MISSING', remedy: expect.stringContaining('"NONE"') });
  const whole = managed();
  await whole.get(secret('prod'));
  expect(whole.redact('etluser said sesame and geheim')).toBe('etluser said *** and ***');
});

it('what is no JSON object is told without what it is', async () => {
  answer = holding({ prod: '{"a": open-sesame' });
  const failed = await managed('prod#')
    .get(secret('A'))
    .catch((error: unknown) => error);
  expect(failed).toMatchObject({ code: 'SECRET_MISSING' });
  expect(String((failed as Error).stack)).not.toContain('sesame');
});

it('an ARN is asked where it says, wherever the environment looks', async () => {
  const arn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!cluster-4711-AbCdEf';
  answer = holding({ [arn]: '{"username":"etl","password":"pw"}' });
  const secrets = environmentSecrets({ directory: '/nowhere', sources: ['env'], env: {} });
  expect(await secrets.get(secret(`${arn}#password`))).toBe('pw');
  const parameter = 'arn:aws:ssm:eu-west-1:123456789012:parameter/shop';
  answer = () => ({ Parameters: [{ Name: '/shop', ARN: parameter, Value: 'v' }] });
  expect(await secrets.get(secret(parameter))).toBe('v');
});

it.each<[ServiceAnswer, string, string]>([
  [{ status: 400, error: 'AccessDeniedException' }, 'ACCESS_DENIED', 'secretsmanager:GetSecretValue'],
  [{ status: 400, error: 'DecryptionFailure' }, 'ACCESS_DENIED', 'kms:Decrypt'],
  [{ status: 400, error: 'UnrecognizedClientException' }, 'AUTHENTICATION_FAILED', 'clock'],
  [{ status: 400, error: 'InvalidRequestException' }, 'SECRET_MISSING', 'deleted'],
])('%j is told as %s', async (said, code, remedy) => {
  answer = () => said;
  await expect(managed().get(secret('URL'))).rejects.toMatchObject({ code, remedy: expect.stringContaining(remedy) });
});

it('a service that throttles is asked again, and what was known before is used when it stays so', async () => {
  let throttled = 2;
  const there = holding({ URL: 'known' });
  answer = (request) => (throttled-- > 0 ? { status: 400, error: 'ThrottlingException' } : there(request));
  const secrets = managed();
  expect(await secrets.get(secret('URL'))).toBe('known');
  expect(asked()).toHaveLength(3);
  answer = () => ({ status: 500, error: 'InternalServiceError' });
  time = 10 * 60_000;
  expect(await secrets.get(secret('URL'))).toBe('known');
  await expect(secrets.get(secret('URL'), 'known')).rejects.toMatchObject({ code: 'REMOTE_UNAVAILABLE' });
}, 60_000);

it('parameters come ten in one request, decrypted; one that may not be read does not take the others with it', async () => {
  answer = ({ parameters: { Names } }) => ({ Parameters: (Names as string[]).map((Name) => ({ Name, Value: `of ${Name}` })) });
  const names = Array.from({ length: 12 }, (_, at) => `P${at}`);
  const values = (from: readonly string[]) => {
    const secrets = parameters();
    return Promise.allSettled(from.map((name) => secrets.get(secret(name))));
  };
  expect(await values(names)).toEqual(names.map((name) => ({ status: 'fulfilled', value: `of /prod/${name}` })));
  const requests = service.requests.map(({ parameters: { Names, WithDecryption } }) => [(Names as string[]).length, WithDecryption]);
  expect(requests.sort()).toEqual([
    [10, true],
    [2, true],
  ]);
  const all = answer;
  answer = (request) =>
    (request.parameters['Names'] as string[]).includes('/prod/P1') ? { status: 400, error: 'AccessDeniedException' } : all(request);
  const [first, second] = await values(['P0', 'P1']);
  expect(first).toEqual({ status: 'fulfilled', value: 'of /prod/P0' });
  expect(second).toMatchObject({ reason: { code: 'ACCESS_DENIED', remedy: expect.stringContaining('ssm:GetParameters') } });
});

it('a service that cannot be reached is told as such', async () => {
  vi.stubEnv('AWS_ENDPOINT_URL', 'http://127.0.0.1:1');
  await expect(managed().get(secret('URL'))).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
    remedy: expect.stringContaining('endpoint'),
  });
}, 60_000);

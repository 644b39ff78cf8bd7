import dns from 'node:dns';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { AwsFault, awsFake } from '../../../../test/aws-fake.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { dnsServer } from '../../test/dns-server.ts';
import { testContext } from '../../test/load.ts';
import { type SecureServer, secureServer } from '../../test/secure-server.ts';
import { amazonBehind } from '../aws/alias.ts';
import { databaseToken } from '../aws/token.ts';
import { redshift } from '../redshift/index.ts';
import { openSession } from './client.ts';
import { databaseLogin } from './database-login.ts';
import { postgres } from './index.ts';
import { openReplication } from './replication/transport.ts';

/* Who the server is, and who we are: TLS at endpoints of Amazon, and tokens of IAM. */

const shop = 'shop.cluster-c1x2y3.eu-west-1.rds.amazonaws.com';
const other = 'other.cluster-c1x2y3.eu-west-1.rds.amazonaws.com';
const china = 'shop.cluster-c1x2y3.rds.cn-north-1.amazonaws.com.cn';
const sales = 'sales.c1x2y3.eu-west-1.redshift.amazonaws.com';
const serverless = 'night.123456789012.eu-west-1.redshift-serverless.amazonaws.com';
const proxied = '*.proxy-c1x2y3.eu-west-1.rds.amazonaws.com';

let secure: SecureServer | null;
let open: TestDatabase;
beforeAll(async () => {
  open = await testDatabase();
  secure = await secureServer(shop, china, sales, serverless, proxied);
});
afterAll(async () => {
  await open[Symbol.asyncDispose]();
  await secure?.[Symbol.asyncDispose]();
});
beforeEach((context) => {
  if (!secure) context.skip('openssl is not installed here');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIATEST');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

const server = (): SecureServer => secure as SecureServer;

async function userAt(url: string): Promise<string> {
  await using session = await openSession({ url }, testContext());
  expect(session.secure).toBe(true);
  return (await session.query('select current_user as me'))[0]?.['me'] ?? '';
}

test('a server at an endpoint of RDS is believed when an authority of Amazon, or the one that is named, has signed for its name', async () => {
  const { as, authority } = server();
  await expect(userAt(as(shop))).rejects.toMatchObject({
    code: 'CERTIFICATE_REFUSED',
    remedy: expect.stringContaining('https://truststore.pki.rds.amazonaws.com/'),
  });
  await expect(userAt(as(china))).rejects.toMatchObject({
    code: 'CERTIFICATE_REFUSED',
    remedy: expect.stringContaining('amazonaws.com.cn/'),
  });
  expect(await userAt(as(shop, { sslrootcert: authority }))).toBe('postgres');
  await expect(userAt(as(other, { sslrootcert: authority }))).rejects.toMatchObject({
    code: 'CERTIFICATE_REFUSED',
    message: expect.stringContaining(other),
    remedy: expect.stringContaining('hostaddr'),
  });
  expect(await userAt(as(other, { sslrootcert: authority, sslmode: 'verify-ca' }))).toBe('postgres');
  expect(await userAt(as(other, { sslmode: 'require' }))).toBe('postgres');
  vi.stubEnv('PGSSLROOTCERT', authority);
  expect(await userAt(as(shop))).toBe('postgres');
});

test('a warehouse at an endpoint of Redshift as well', async () => {
  const { as, authority } = server();
  const look = async (url: string) => (await redshift({ url }).examine(testContext())).map(({ level }) => level);
  expect(await look(as(sales))).toEqual(['problem']);
  expect(await look(as(sales, { sslrootcert: authority }))).not.toContain('problem');
});

test('no password goes to an endpoint of RDS that speaks no TLS', async () => {
  const { port, username, password } = new URL(open.url);
  const url = `postgres://${username}:${password}@${shop}:${port}/${open.name}?hostaddr=127.0.0.1`;
  await expect(openSession({ url }, testContext())).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
    message: expect.stringContaining('SSL'),
  });
});

test('a token is signed for each connection, and also for one that replicates', async () => {
  const { as, authority, port } = server();
  await using admin = await openSession({ url: as(shop, { sslrootcert: authority }) }, testContext());
  const url = as(shop, { sslrootcert: authority, auth: 'iam' }).replace('postgres:millrace@', 'etl@');
  const accept = async () => {
    const token = await databaseToken({ hostname: shop, port, username: 'etl', region: 'eu-west-1' });
    await admin.execute(`alter role etl password '${token}'`);
  };
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-22T12:00:00Z') });
  await admin.execute('create role etl login replication');
  await accept();
  expect(await userAt(url)).toBe('etl');
  await using replication = await openReplication({ url }, testContext());
  expect((await replication.identifySystem()).dbname).toBe('postgres');
  const { client } = await databaseLogin(url, testContext());
  const others = new pg.Client(client);
  await others.connect();
  expect((await others.query('select current_user as me')).rows).toEqual([{ me: 'etl' }]);
  await others.end();
  vi.setSystemTime(new Date('2026-11-22T12:20:00Z'));
  const refused = await userAt(url).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'AUTHENTICATION_FAILED', remedy: expect.stringContaining('rds-db:connect') });
  expect(JSON.stringify(refused) + String((refused as Error).stack)).not.toContain('X-Amz-Signature');
  await accept();
  expect(await userAt(url)).toBe('etl');
});

test('Redshift gives a user and a password for a while to who the process is, and is asked once for all connections', async () => {
  const { as, authority } = server();
  await using admin = await openSession({ url: as(shop, { sslrootcert: authority }) }, testContext());
  for (const name of ['IAMR:etl', 'loader']) await admin.execute(`create role "${name}" login password 'given-to-${name}'`);
  const given = (name: string) => ({ DbUser: name, DbPassword: `given-to-${name}`, Expiration: new Date(Date.now() + 900_000) });
  await using fake = await awsFake({
    GetClusterCredentialsWithIAM: () => given('IAMR:etl'),
    GetClusterCredentials: ({ DbUser }) => given(DbUser),
    GetCredentials: () => ({ dbUser: 'IAMR:etl', dbPassword: 'given-to-IAMR:etl', expiration: new Date(Date.now() + 900_000) }),
  });
  vi.stubEnv('AWS_ENDPOINT_URL', fake.settings.endpoint);
  const urlOf = (host: string, user = '') => as(host, { sslrootcert: authority, auth: 'iam' }).replace('postgres:millrace@', user);
  expect(await userAt(urlOf(sales))).toBe('IAMR:etl');
  expect(await userAt(urlOf(sales))).toBe('IAMR:etl');
  expect(await userAt(urlOf(sales, 'loader@'))).toBe('loader');
  expect(await userAt(urlOf(serverless))).toBe('IAMR:etl');
  expect(fake.calls).toEqual([
    { operation: 'GetClusterCredentialsWithIAM', input: { ClusterIdentifier: 'sales', DbName: 'postgres' } },
    {
      operation: 'GetClusterCredentials',
      input: { ClusterIdentifier: 'sales', DbName: 'postgres', DbUser: 'loader', AutoCreate: 'false' },
    },
    { operation: 'GetCredentials', input: { workgroupName: 'night', dbName: 'postgres' } },
  ]);
  fake.fail('GetClusterCredentials', new AwsFault('AccessDenied', 'User: x is not authorized', 403));
  await expect(userAt(urlOf(sales, 'other@'))).rejects.toMatchObject({
    code: 'ACCESS_DENIED',
    remedy: expect.stringContaining('redshift:GetClusterCredentials on'),
  });
  fake.garble('GetClusterCredentials');
  await expect(userAt(urlOf(sales, 'other@'))).rejects.toMatchObject({ code: 'REMOTE_UNAVAILABLE' });
  await expect(userAt(urlOf(serverless, 'loader@'))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('leave out the user'),
  });
});

test.each<[why: string, host: string, more: Readonly<Record<string, string>>]>([
  ['proved', shop, { sslmode: 'require' }],
  ['proved', shop, { sslmode: 'disable' }],
  ['proved', shop, { sslmode: 'verify-ca' }],
  ['not an endpoint of RDS', 'localhost', {}],
  ['proved', sales, { sslmode: 'require' }],
  ['proved', sales, { sslmode: 'verify-ca' }],
])('a token goes nowhere where the server has not %s: %s %j', async (why, host, more) => {
  const url = server()
    .as(host, { auth: 'iam', ...more })
    .replace('postgres:millrace@', 'etl@');
  await expect(openSession({ url }, testContext())).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(why),
  });
});

test('without credentials there is no token', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', '');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', '');
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
  vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
  const url = server().as(shop, { auth: 'iam' }).replace('postgres:millrace@', 'nobody@');
  await expect(openSession({ url }, testContext())).rejects.toMatchObject({
    code: 'AUTHENTICATION_FAILED',
    message: expect.stringContaining('nobody'),
  });
});

test('doctor warns of RDS Proxy', async () => {
  const { port, username, password } = new URL(open.url);
  const host = 'shop.proxy-c1x2y3.eu-west-1.rds.amazonaws.com';
  const url = `postgres://${username}:${password}@${host}:${port}/${open.name}?hostaddr=127.0.0.1&sslmode=disable`;
  const { as } = server();
  const warning = expect.objectContaining({ level: 'warning', message: expect.stringContaining('pinning') });
  expect(await postgres({ url }).examine(testContext())).toContainEqual(warning);
  // By another name of it, its certificate tells.
  expect(await postgres({ url: as('etl.example', { sslmode: 'require' }) }).examine(testContext())).toContainEqual(warning);
  expect(await postgres({ url: open.url }).examine(testContext())).not.toContainEqual(warning);
});

test('doctor warns of an alias of RDS Proxy, as the names in DNS tell', async () => {
  await using names = await dnsServer({
    'db.etl.example': 'shop.etl.example',
    'shop.etl.example': 'shop.proxy-c1x2y3.eu-west-1.rds.amazonaws.com',
    'round.etl.example': 'again.etl.example',
    'again.etl.example': 'round.etl.example',
  });
  const before = dns.getServers();
  dns.setServers([names.address]);
  try {
    expect((await amazonBehind('db.etl.example'))?.kind).toBe('proxy');
    expect(await amazonBehind('round.etl.example')).toBeNull();
    expect(await amazonBehind('nowhere.etl.example')).toBeNull();
    expect(await amazonBehind('127.0.0.1')).toBeNull();
    expect(names.asked).not.toContain('127.0.0.1');
  } finally {
    dns.setServers(before);
  }
});

test('replication through RDS Proxy or a reader endpoint is refused before anybody is asked', async () => {
  const at = (host: string) => openReplication({ url: `postgres://u:p@${host}/db` }, testContext());
  for (const host of ['shop.proxy-c1x2y3.eu-west-1.rds.amazonaws.com', 'shop.cluster-ro-c1x2y3.eu-west-1.rds.amazonaws.com'])
    await expect(at(host)).rejects.toMatchObject({ code: 'UNSUPPORTED', remedy: expect.stringContaining('endpoint of the writer') });
});

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { secret } from '@millrace/core';
import { isMillraceError } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../test/mariadb-server.ts';
import type { SessionSettings } from './credentials.ts';
import { mysql } from './index.ts';
import { openSession } from './session.ts';

let server: MariaDbServer;
let hasOpenssl = false;
beforeAll(async () => {
  server = await mariaDbServer();
  await server.sql(`create user shopper@'%' identified by 'old password'`, `grant all on *.* to shopper@'%'`);
  const file = (name: string) => join(server.data, name);
  const fresh = ['-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  hasOpenssl =
    openssl('req', '-x509', ...fresh, '-subj', '/CN=an authority', '-out', file('authority.crt'), '-keyout', file('authority.key')) &&
    openssl(
      ...[
        'req',
        '-x509',
        ...fresh,
        '-CA',
        file('authority.crt'),
        '-CAkey',
        file('authority.key'),
        '-subj',
        '/CN=a server',
        '-out',
        file('server.crt'),
      ],
      ...['-keyout', file('server.key'), '-addext', 'subjectAltName=DNS:db.example'],
    );
  if (!hasOpenssl) console.error('Without openssl no test of TLS to MariaDB is made.');
});
afterAll(() => server?.[Symbol.asyncDispose]());

const openssl = (...args: readonly string[]): boolean => spawnSync('openssl', args, { stdio: 'ignore' }).status === 0;

async function login(settings: SessionSettings, context = testContext()): Promise<string> {
  try {
    await using session = await openSession(settings, context);
    const [row] = await session.query(`select current_user() as user, @@sql_mode like '%NO_AUTO_VALUE_ON_ZERO%' as ours`);
    return `${row?.['user']} ${row?.['ours']} ${session.secure ? 'secure' : 'open'}`;
  } catch (error) {
    return isMillraceError(error) ? error.code : String(error);
  }
}

test('a server without TLS is taken as it is, unless TLS is asked for', async () => {
  const url = `mysql://shopper:old%20password@127.0.0.1:${server.port}/`;
  // A MySQL makes a certificate for itself, unless it has to do without.
  if (server.flavour === 'mysql') await server.restart({ 'tls-version=': '' });
  expect(await login({ url })).toBe('shopper@% 1 open');
  expect(await login({ url: `${url}?ssl-mode=PREFERRED` })).toBe('shopper@% 1 open');
  expect(await login({ url: `${url}?ssl-mode=REQUIRED` })).toBe('CONNECTION_FAILED');
});

test('a server with TLS must be the one that the URL names, where that is asked for', async ({ skip }) => {
  if (!hasOpenssl) skip('openssl is not installed');
  await server.restart({
    'tls-version': 'TLSv1.2,TLSv1.3',
    'ssl-cert': join(server.data, 'server.crt'),
    'ssl-key': join(server.data, 'server.key'),
  });
  const authority = join(server.data, 'authority.crt');
  const at = (host: string, more: Record<string, string> = {}) =>
    `mysql://shopper:old%20password@${host}:${server.port}/?${new URLSearchParams({ hostaddr: '127.0.0.1', ...more })}`;
  expect(await login({ url: at('db.example', { 'ssl-mode': 'VERIFY_IDENTITY', 'ssl-ca': authority }) })).toBe('shopper@% 1 secure');
  expect(await login({ url: at('other.example', { 'ssl-mode': 'VERIFY_IDENTITY', 'ssl-ca': authority }) })).toBe('CERTIFICATE_REFUSED');
  expect(await login({ url: at('other.example', { 'ssl-mode': 'VERIFY_CA', 'ssl-ca': authority }) })).toBe('shopper@% 1 secure');
  expect(await login({ url: at('db.example', { 'ssl-mode': 'VERIFY_IDENTITY' }) })).toBe('CERTIFICATE_REFUSED');
  expect(await login({ url: at('db.example') })).toBe('shopper@% 1 secure');
  expect(await login({ url: at('db.example'), ssl: true })).toBe('CERTIFICATE_REFUSED');
  expect(await login({ url: at('db.example'), ssl: false })).toBe('shopper@% 1 open');
});

test('a password that has been changed is looked up once more', async () => {
  const urls = [`mysql://shopper:old%20password@127.0.0.1:${server.port}/`, `mysql://shopper:new@127.0.0.1:${server.port}/`];
  await server.sql(`alter user shopper@'%' identified by 'new'`);
  const context = testContext({ secret: async (_, refused) => (refused === urls[0] ? urls[1]! : urls[0]!) });
  expect(await login({ url: secret('SHOP_URL') }, context)).toBe('shopper@% 1 open');
  expect(await login({ url: urls[0]! })).toBe('AUTHENTICATION_FAILED');
});

test('a user without rights hears which are missing; doctor says what could be better', async () => {
  await server.sql(`create user guest@'%' identified by 'guest'`, 'create database private', 'create table private.t (id int)');
  const url = `mysql://guest:guest@127.0.0.1:${server.port}/`;
  await using session = await openSession({ url }, testContext());
  await expect(session.query('select * from private.t', 'private.t')).rejects.toMatchObject({
    code: 'ACCESS_DENIED',
    remedy: expect.stringMatching(/"guest".*private\.t/),
  });
  const findings = await mysql({ url }).examine(testContext());
  expect(findings.map(({ level, message }) => `${level}: ${message}`)).toEqual([
    expect.stringMatching(/^ok: connected as "guest" to no database/),
    expect.stringMatching(/^ok: (10\.\d+\.\d+-MariaDB|MySQL \d+\.\d+\.\d+)/),
    expect.stringMatching(/^ok: .*no TLS|^ok: .*TLS/),
    expect.stringMatching(/^ok: a writer/),
    expect.stringMatching(/^ok: loads go through LOAD DATA LOCAL/),
    expect.stringMatching(/^warning: this user cannot see the transactions of others/),
    expect.stringMatching(/^ok: \d+ of \d+ connections are free/),
  ]);
});

test('a read-only server is not taken for the writer', async () => {
  await server.sql('set global read_only = 1');
  try {
    const url = `mysql://shopper:new@127.0.0.1:${server.port}/`;
    await expect(openSession({ url }, testContext(), { writer: true })).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringMatching(/read-only/),
    });
    expect(await login({ url })).toBe('shopper@% 1 open');
  } finally {
    await server.sql('set global read_only = 0');
  }
});

test('a connection that the server ends between two statements says why', async () => {
  await using session = await openSession({ url: `mysql://shopper:new@127.0.0.1:${server.port}/` }, testContext());
  await server.sql(`kill ${session.thread}`);
  await expect.poll(() => session.ended).toBe(true);
  await expect(session.query('select 1')).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
    message: expect.stringMatching(/ended|closed/),
  });
});

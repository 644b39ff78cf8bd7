import { isMillraceError } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { parseAddress } from './address.ts';

const rds = 'shop.c1x2y3.eu-west-1.rds.amazonaws.com';

test.each([
  [
    'mysql://u:p%40ss@db.example:3307/shop',
    { host: 'db.example', port: 3307, user: 'u', database: 'shop', login: { by: 'password', password: 'p@ss' } },
  ],
  ['mariadb://u@[::1]/', { host: '::1', port: 3306, database: '', tls: { mode: 'disable' } }],
  ['mysql://u@/shop?socket=/run/mysqld.sock', { host: 'localhost', socket: '/run/mysqld.sock', tls: { mode: 'disable' } }],
  ['mysql://u@db.example/shop', { tls: { mode: 'prefer', identity: false, options: { rejectUnauthorized: false } } }],
  ['mysql://u@db.example/shop?ssl-mode=verify_identity', { tls: { mode: 'require', identity: true, options: {} } }],
  ['mysql://u@db.example/shop?ssl-mode=VERIFY_CA', { tls: { mode: 'require', identity: false } }],
  ['mysql://u@db.example/shop?ssl-mode=DISABLED', { tls: { mode: 'disable' } }],
  [`mysql://u@${rds}/shop`, { tls: { mode: 'require', identity: true, amazon: true } }],
  [`mysql://u@${rds}/shop?hostaddr=127.0.0.1`, { host: rds, hostaddr: '127.0.0.1', tls: { amazon: true } }],
  [`mysql://u@${rds}/shop?auth=iam`, { login: { by: 'iam', region: 'eu-west-1' } }],
  ['mysql://db.example/shop?login=SHOP_USER', { login: { by: 'secret', name: 'SHOP_USER' } }],
  [
    JSON.stringify({ engine: 'mysql', host: 'db.example', port: 3306, dbname: 'shop', username: 'u', password: 'p/:@' }),
    { host: 'db.example', database: 'shop', user: 'u', login: { by: 'password', password: 'p/:@' } },
  ],
])('%s', (url, expected) => {
  expect(parseAddress(url)).toMatchObject(expected);
});

test.each([
  ['postgres://u@h/d', /neither mysql:\/\/ nor mariadb:\/\//],
  ['not a url', /not a URL/],
  ['mysql://u:hush%@h/d', /"%"/],
  ['mysql://u@h/d?ssl-mode=maybe', /ssl-mode "maybe"/],
  ['mysql://u@h/d?hostaddr=h', /hostaddr is not an IP address/],
  ['mysql://u:hush@h/d?login=OTHER', /more than one/],
  ['mysql://u@h/d?auth=iam', /not an endpoint of RDS/],
  [`mysql://u@${rds}/d?auth=iam&ssl-mode=REQUIRED`, /a token may go only to a server that has proved who it is/],
  ['mysql://u@h/d?ssl-mode=VERIFY_CA&ssl-ca=/nowhere.pem', /\/nowhere\.pem/],
])('%s is refused, without what is secret in it', (url, message) => {
  let error: unknown;
  try {
    parseAddress(url);
  } catch (thrown) {
    error = thrown;
  }
  expect(isMillraceError(error) && error.code).toBe('CONFIG_INVALID');
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).not.toContain('hush');
});

test('settings of TLS beside the URL are stronger than it', () => {
  expect(parseAddress(`mysql://u@${rds}/d`, false).tls).toMatchObject({ mode: 'disable' });
  expect(parseAddress('mysql://u@h/d', true).tls).toEqual({ mode: 'require', identity: true, options: {} });
  expect(parseAddress(`mysql://u@${rds}/d`, { ca: 'pem' }).tls).toEqual({ mode: 'require', identity: true, options: { ca: 'pem' } });
});

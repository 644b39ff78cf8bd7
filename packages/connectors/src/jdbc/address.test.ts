import { secret } from '@millrace/core';
import { expect, test } from 'vitest';
import { testContext } from '../../test/load.ts';
import { addressLabel, addressOf } from './address.ts';
import { jdbcError, scrubbed } from './failure.ts';
import { nativeFor } from './native.ts';

test.each([
  ['jdbc:oracle:thin:scott/tiger@//db.example:1521/shop', 'jdbc:oracle:thin:@//db.example:1521/shop'],
  ['jdbc:oracle:thin:@//db.example:1521/shop', 'jdbc:oracle:thin:@//db.example:1521/shop'],
  ['jdbc:sqlserver://db.example:1433;databaseName=shop;user=sa;password=tiger', 'jdbc:sqlserver://db.example:1433'],
  ['jdbc:snowflake://acme.snowflakecomputing.com/?db=shop&password=tiger', 'jdbc:snowflake://acme.snowflakecomputing.com/'],
  ['jdbc:mariadb://root:tiger@db.example/shop', 'jdbc:mariadb://db.example/shop'],
  ['jdbc:h2:file:/data/shop;PASSWORD=tiger', 'jdbc:h2:file:/data/shop'],
  ['jdbc:db2://db.example:50000/shop:password=tiger;user=x;', 'jdbc:db2://db.example:50000/shop'],
  ['jdbc:teradata://db.example/USER=x,PASSWORD=tiger', 'jdbc:teradata://db.example'],
  ['jdbc:mariadb://root:ti@ger@db.example/shop', 'jdbc:mariadb://db.example/shop'],
  ['jdbc:mariadb://root:ti/g@er@db.example/shop', 'jdbc:mariadb://db.example/shop'],
  ['jdbc:mariadb://root:tiger?x@db.example/shop', 'jdbc:mariadb://'],
  ['jdbc:mariadb://one.example:3306,two.example:3307/shop', 'jdbc:mariadb://one.example:3306,two.example:3307/shop'],
  ['jdbc:postgresql://[::1]:5432/shop', 'jdbc:postgresql://[::1]:5432/shop'],
  ['jdbc:oracle:thin:scott/"ti@g;er"@//db.example:1521/shop', 'jdbc:oracle:thin:@//db.example:1521/shop'],
  [
    'jdbc:oracle:thin:@(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db)(PORT=1521))(CONNECT_DATA=(SID=shop)))',
    'jdbc:oracle:thin:@(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db)(PORT=1521))(CONNECT_DATA=(SID=shop)))',
  ],
])('%s is shown as %s', (url, label) => {
  expect(addressLabel(url)).toBe(label);
});

test.each([
  'jdbc:oracle:thin:scott/tiger-1@//db.example:1521/shop',
  'jdbc:sqlserver://db.example;user=sa;password={tiger-1}',
  'jdbc:snowflake://acme/?user=x&password=tiger-1',
  'jdbc:mariadb://root:tiger-1@db.example/shop',
  'jdbc:db2://db.example:50000/shop:user=x;password=tiger-1;',
  'jdbc:db2://db.example:50000/shop:password=tiger-1;user=x;',
  'jdbc:teradata://db.example/USER=x,PASSWORD=tiger-1,CHARSET=UTF8',
  'jdbc:oracle:thin:scott/"tiger-1"@//db.example:1521/shop',
  'jdbc:snowflake://acme/?user=x&passcode=tiger-1',
])('the password of %s is taken out of what a driver says', async (url) => {
  const { hidden } = await addressOf({ url: secret('URL') }, { secret: async () => url });
  const error = jdbcError(
    { kind: 'sql', sqlstate: '28000', vendor: 0, message: `no log-in with tiger-1 at ${url}`, column: null, row: null },
    { label: 'x', hidden },
  );
  expect(JSON.stringify([error.message, error.facts, error.remedy])).not.toContain('tiger-1');
});

test.each([
  ['ti@ger-1', 'jdbc:mariadb://root:ti@ger-1@db.example/shop'],
  ['ti/ger-1', 'jdbc:mariadb://root:ti/ger-1@db.example/shop'],
  ['ti,ger-1', 'jdbc:mysql://db.example/shop?user=x&password=ti,ger-1'],
])('a password %s is one piece, of which no end is left', async (password, url) => {
  const { hidden } = await addressOf({ url: secret('URL') }, { secret: async () => url });
  expect(scrubbed(`refused: ${password}.`, { hidden })).toBe('refused: ***.');
});

test('a password that begins with another secret is taken out to its end', async () => {
  const { hidden } = await addressOf(
    { url: 'jdbc:h2:mem:x', user: secret('USER'), password: secret('PASSWORD') },
    { secret: async ({ name }) => (name === 'USER' ? 'shop' : 'shop-2026') },
  );
  expect(scrubbed('no log-in with shop-2026', { hidden })).toBe('no log-in with ***');
});

test.each([
  'jdbc:informix-sqli://db.example:1526/shop:INFORMIXSERVER=one',
  'jdbc:jtds:sqlserver://db.example/shop',
  'jdbc:aws-wrapper:postgresql://x/y',
])('%s is the URL of a driver', async (url) => {
  expect((await addressOf({ url }, { secret: async () => '' })).url).toBe(url);
});

test('user, password and properties are looked up, each secret by its name', async () => {
  const asked: string[] = [];
  const { properties, hidden } = await addressOf(
    { url: 'jdbc:h2:mem:x', user: 'sa', password: secret('PW'), properties: { token: secret('TOKEN'), plain: 'yes' } },
    {
      secret: async ({ name }) => {
        asked.push(name);
        return `value of ${name}`;
      },
    },
  );
  expect(properties).toEqual({ user: 'sa', password: 'value of PW', token: 'value of TOKEN', plain: 'yes' });
  expect(asked.sort()).toEqual(['PW', 'TOKEN']);
  expect(hidden).toContain('value of TOKEN');
  expect(hidden).not.toContain('yes');
});

test('what is no JDBC URL is refused without being shown', async () => {
  const refused = addressOf({ url: secret('URL') }, { secret: async () => 'postgres://u:tiger@h/d' });
  await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.not.stringContaining('tiger') });
  expect(testContext().lines).toEqual([]);
});

test.each([
  ['jdbc:postgresql://db:5433/shop', {}, 'postgres://db:5433/shop'],
  [
    'jdbc:postgresql://db/shop?user=a%40b&password=x%26y&sslmode=require',
    {},
    'postgres://db/shop?user=a%40b&password=x%26y&sslmode=require',
  ],
  ['jdbc:postgresql://db/shop?ssl=true', { user: 'me', password: 'p?' }, 'postgres://db/shop?user=me&password=p%3F&sslmode=verify-full'],
  ['jdbc:postgresql:shop', {}, 'postgres://localhost/shop'],
  // What only the driver knows is the driver's.
  ['jdbc:postgresql://a,b/shop?targetServerType=primary', {}, null],
  ['jdbc:postgresql://db/shop?currentSchema=sales', {}, null],
  ['jdbc:mysql://db:3307/shop', {}, 'mysql://@db:3307/shop'],
  ['jdbc:mariadb://db/shop?user=a%40b&password=x%26y&sslMode=verify-full', {}, 'mysql://a%40b:x%26y@db/shop?ssl-mode=VERIFY_IDENTITY'],
  ['jdbc:mysql://db/shop?useSSL=false', { user: 'me', password: 'p/?' }, 'mysql://me:p%2F%3F@db/shop?ssl-mode=DISABLED'],
  ['jdbc:mariadb://db/shop?sslMode=trust&serverSslCert=/etc/ca.pem', {}, 'mysql://@db/shop?ssl-mode=REQUIRED&ssl-ca=%2Fetc%2Fca.pem'],
  ['jdbc:mysql://a,b/shop', {}, null],
  ['jdbc:mysql://(host=a)/shop', {}, null],
  ['jdbc:mysql://db/shop?zeroDateTimeBehavior=CONVERT_TO_NULL', {}, null],
  ['jdbc:mysql://db/shop?sslMode=odd', {}, null],
] as const)('%s is for the connector of its database %s', (url, properties, expected) => {
  expect(nativeFor(url)?.url({ url, properties })).toBe(expected);
});

test('other databases are for their drivers', () => {
  expect(nativeFor('jdbc:oracle:thin:@//db/shop')).toBeUndefined();
  expect(nativeFor('jdbc:mysql:loadbalance://a,b/shop')).toBeUndefined();
});

test.each([
  ['Oracle', { sqlstate: '42000', vendor: 942 }, 'TABLE_MISSING'],
  ['Oracle', { sqlstate: '72000', vendor: 1017 }, 'AUTHENTICATION_FAILED'],
  ['Oracle', { sqlstate: '61000', vendor: 60 }, 'LOAD_CONFLICT'],
  ['Microsoft SQL Server', { sqlstate: '40001', vendor: 1205 }, 'LOAD_CONFLICT'],
  ['Microsoft SQL Server', { sqlstate: 'S0002', vendor: 208 }, 'TABLE_MISSING'],
  ['DB2/LINUXX8664', { sqlstate: '42704', vendor: -204 }, 'TABLE_MISSING'],
  ['MariaDB', { sqlstate: '08004', vendor: 1040 }, 'CONNECTION_LIMIT'],
  ['Some Database', { sqlstate: '40001', vendor: 7 }, 'LOAD_CONFLICT'],
  ['Some Database', { sqlstate: '22001', vendor: 0 }, 'TYPE_MISMATCH'],
  ['Some Database', { sqlstate: '08006', vendor: 0 }, 'CONNECTION_FAILED'],
  ['Some Database', { sqlstate: null, vendor: 0 }, 'STATEMENT_FAILED'],
] as const)('%s %j is %s', (product, said, code) => {
  expect(jdbcError({ kind: 'sql', message: 'no', column: null, row: null, ...said }, { label: 'x', product, hidden: [] }).code).toBe(code);
});

test.each([
  ['', { sqlstate: '72000', vendor: 1017, message: 'ORA-01017: invalid username/password' }, 'AUTHENTICATION_FAILED'],
  ['', { sqlstate: 'S0001', vendor: 18456, message: "Login failed for user 'sa'." }, 'AUTHENTICATION_FAILED'],
  [
    '',
    { sqlstate: null, vendor: 0, message: 'The connection to the host x, port 1433 has failed: connection refused' },
    'CONNECTION_FAILED',
  ],
] as const)('before the database is known its message tells: %s %j is %s', (_none, said, code) => {
  expect(jdbcError({ kind: 'sql', column: null, row: null, ...said }, { label: 'x', hidden: [] }).code).toBe(code);
});

import { expect, test } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { postgresStore } from './postgres-store.ts';

test('a state database that lets nobody in, or nothing be written, is told as such, without its password', async () => {
  await using database = await testDatabase();
  const role = `poor_${database.name}`;
  await database.sql(`create role ${role} login password 'as-poor-as-can-be'`);
  const at = (change: (url: URL) => void): string => {
    const url = new URL(database.url);
    change(url);
    return url.href;
  };
  const poor = at((url) => Object.assign(url, { username: role, password: 'as-poor-as-can-be' }));
  const refusals: [url: string, code: string, says: string][] = [
    [at((url) => Object.assign(url, { password: 'not-the-password' })), 'AUTHENTICATION_FAILED', 'does not let this user in'],
    [at((url) => Object.assign(url, { pathname: '/no_such_database' })), 'DATABASE_MISSING', 'does not exist'],
    [poor, 'ACCESS_DENIED', 'permission denied for database'],
    [at((url) => Object.assign(url, { port: '1' })), 'STATE_UNAVAILABLE', 'cannot be reached'],
    ['not a url', 'CONFIG_INVALID', 'no postgres:// URL'],
    ['mysql://root@127.0.0.1/runs', 'CONFIG_INVALID', 'no postgres:// URL'],
  ];
  try {
    for (const [url, code, says] of refusals) {
      const error: Error = await postgresStore(url).then(
        () => new Error(`${code} did not come.`),
        (refused) => refused as Error,
      );
      expect(error).toMatchObject({ code, message: expect.stringContaining(says), remedy: expect.stringMatching(/./) });
      expect(error.message).not.toMatch(/not-the-password|as-poor-as-can-be|millrace@/);
    }
    await database.sql(`alter database ${database.name} set default_transaction_read_only = on`);
    await expect(postgresStore(database.url)).rejects.toMatchObject({
      code: 'STATE_UNAVAILABLE',
      message: expect.stringContaining('read-only'),
    });
  } finally {
    await database.sql(`set default_transaction_read_only = off; drop role ${role}`);
  }
});

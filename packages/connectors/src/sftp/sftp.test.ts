import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { int4, secret, table, text } from '@millrace/core';
import { rowSourceConformance, testContext } from '@millrace/core/testing';
import ssh2 from 'ssh2';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readAll } from '../../test/read.ts';
import { ed25519Keys, type SftpServer, type SftpServerOptions, sftpServer } from '../../test/sftp-server.ts';
import { type SftpOptions, sftp } from './index.ts';
import { parsePlace, urlOf } from './place.ts';

const noted = table('noted', { id: int4(), note: text().orNull() }, { key: ['id'] });
const rows = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => ({
    id: from + at,
    note: (from + at) % 3 === 0 ? null : `note "${from + at}", ${'x'.repeat(50)}`,
  }));
const csv = (of: readonly { id: number; note: string | null }[]) =>
  `id,note\n${of.map(({ id, note }) => `${id},${note === null ? '' : `"${note.replaceAll('"', '""')}"`}`).join('\n')}\n`;

let home: string;
let server: SftpServer;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-sftp-'));
  mkdirSync(join(home, 'in', 'deep'), { recursive: true });
  writeFileSync(join(home, 'in', 'a.csv'), csv(rows(1, 20)));
  writeFileSync(join(home, 'in', 'deep', 'b.csv.gz'), gzipSync(csv(rows(21, 40))));
  writeFileSync(join(home, 'in', 'c.txt'), 'not this one');
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(home, { recursive: true });
});
const start = async (options: Partial<SftpServerOptions> = {}) => {
  server = await sftpServer({ directory: home, password: 'PASSWORD', ...options });
};
const inbox = (more: Partial<SftpOptions> = {}) =>
  sftp({ url: `sftp://anna@127.0.0.1:${server.port}/in`, hostKey: server.fingerprint, password: secret('PASSWORD'), ...more });
const context = () => testContext({ memoryBudget: 256 * 1024 * 1024 });
const read = (more: Partial<SftpOptions> = {}, pattern = '**/*.{csv,csv.gz}') => readAll(inbox(more).csv(pattern, noted), {}, context());
const byId = (found: Awaited<ReturnType<typeof read>>) => [...found.rows].sort((a, b) => Number(a['id']) - Number(b['id']));

test('files below a directory are read, compressed or not', async () => {
  await start();
  expect(byId(await read())).toEqual(rows(1, 40));
  expect((await read({}, 'a.csv')).rows).toEqual(rows(1, 20));
  await expect(read({}, 'z.csv')).rejects.toMatchObject({ code: 'TABLE_MISSING' });
});

describe('files on an SFTP server are read as every source is', () => {
  rowSourceConformance(test, async () => {
    await start();
    return {
      selection: inbox().csv('**/*.{csv,csv.gz}', noted),
      rows: rows(1, 40),
      splitBytes: 1_000,
      context: (options) => ({ ...context(), ...options }),
      async [Symbol.asyncDispose]() {},
    };
  });
});

test('a large file comes whole, with many reads under way and whatever the server answers to each', async () => {
  const large = rows(1, 40_000);
  writeFileSync(join(home, 'in', 'large.csv'), csv(large));
  await start();
  expect((await read({}, 'large.csv')).rows).toEqual(large);
  expect(server.mostAtOnce).toBeGreaterThan(4);
  server.faults.shortReads = 10_007;
  expect((await read({}, 'large.csv')).rows).toEqual(large);
});

test('a connection that is cut in the middle is an error that may pass, and leaves no file', async () => {
  writeFileSync(join(home, 'in', 'large.csv'), csv(rows(1, 40_000)));
  await start();
  server.faults.cutAfter = 10;
  const own = context();
  await expect(readAll(inbox().csv('large.csv', noted), {}, own)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  expect(readdirSync(own.spool)).toEqual([]);
  expect((await read({}, 'large.csv')).rows).toHaveLength(40_000);
});

test('a read that is stopped does not wait for the server', async () => {
  await start();
  server.faults.silent = true;
  const stop = new AbortController();
  const reading = readAll(inbox().csv('a.csv', noted), {}, testContext({ signal: stop.signal }));
  setTimeout(() => stop.abort(new Error('enough')), 50);
  await expect(reading).rejects.toThrow('enough');
});

test('a file that changes while it is read is noticed', async () => {
  await start();
  await using source = await inbox().csv('a.csv', noted).open(context());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1, earlier: null });
  writeFileSync(join(home, 'in', 'a.csv'), csv(rows(1, 20)).replace('note', 'Note'));
  utimesSync(join(home, 'in', 'a.csv'), 1_000, 1_000);
  await expect(source.open(plan.splits[0]!, 'csv')).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' });
});

test('a directory that does not end, and directories within one another without end, are refused', async () => {
  mkdirSync(join(home, 'in', ...Array.from({ length: 70 }, () => 'in')), { recursive: true });
  await start();
  await expect(read()).rejects.toMatchObject({ code: 'REMOTE_REFUSED', message: expect.stringContaining('64 deep') });
  server.faults.endless = true;
  await expect(read()).rejects.toMatchObject({ code: 'MEMORY_EXHAUSTED' });
});

test('links to files are files, and links to directories lead nowhere', async () => {
  symlinkSync(join(home, 'in', 'a.csv'), join(home, 'in', 'link.csv'));
  symlinkSync(join(home, 'in'), join(home, 'in', 'deep', 'loop'));
  await start();
  expect((await read({}, '**/link.csv')).rows).toHaveLength(20);
});

test('a user is known by a key, with or without a passphrase', async () => {
  const plain = ed25519Keys();
  const locked = ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256, passphrase: 'open sesame', cipher: 'aes256-ctr', rounds: 1 });
  const count = async (privateKey: string, more: Partial<SftpOptions> = {}) => {
    const url = `sftp://anna@127.0.0.1:${server.port}/in`;
    const connection = sftp({ url, hostKey: server.hostKey, privateKey: secret(privateKey), ...more });
    return (await readAll(connection.csv('a.csv', noted), {}, context())).rows.length;
  };
  await start({ publicKey: plain.public });
  expect(await count(plain.private)).toBe(20);
  await expect(count(locked.private)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await server[Symbol.asyncDispose]();
  await start({ publicKey: locked.public });
  expect(await count(locked.private, { passphrase: 'open sesame' })).toBe(20);
});

test('a password is also given where it is asked for as anything else', async () => {
  await start({ interactive: true });
  expect((await read({}, 'a.csv')).rows).toHaveLength(20);
});

test('a server that shows another key is told nothing', async () => {
  await start();
  const another = `SHA256:${'A'.repeat(43)}`;
  await expect(read({ hostKey: another })).rejects.toMatchObject({
    code: 'CERTIFICATE_REFUSED',
    remedy: expect.stringContaining(server.fingerprint),
  });
  expect((await read({ hostKey: [another, server.hostKey] }, 'a.csv')).rows).toHaveLength(20);
  expect(() => sftp({ url: 'sftp://anna@host/', hostKey: [] })).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
});

test('what goes wrong says what to do, without the password', async () => {
  await start();
  const refused = await read({ password: 'wrong-password' }).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  expect(JSON.stringify(refused)).not.toContain('wrong-password');
  await expect(read({ privateKey: 'no key' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await expect(read({ url: 'sftp://anna@127.0.0.1:1/in' })).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  await expect(read({ url: `sftp://anna@127.0.0.1:${server.port}/elsewhere` })).rejects.toMatchObject({ code: 'TABLE_MISSING' });
  expect(inbox({ url: 'sftp://anna:secret-word@host/in' }).label).toBe('sftp://host/in');
});

test('doctor looks at the directory', async () => {
  await start();
  expect(await inbox().examine(context())).toMatchObject([{ level: 'ok' }]);
  expect(await inbox({ password: 'wrong' }).examine(context())).toMatchObject([
    { level: 'problem', error: { code: 'AUTHENTICATION_FAILED' } },
  ]);
});

test.each([
  ['sftp://anna@host/in', { host: 'host', port: 22, user: 'anna', password: null, directory: '/in/' }, 'sftp://host/in/'],
  ['sftp://an%40na:p%2Fw@host:2222', { host: 'host', port: 2222, user: 'an@na', password: 'p/w', directory: '/' }, 'sftp://host:2222/'],
  ['sftp://anna@[::1]/~/in/', { host: '::1', port: 22, user: 'anna', password: null, directory: 'in/' }, 'sftp://[::1]/~/in/'],
])('%s', (url, place, shown) => {
  expect(parsePlace(url)).toEqual(place);
  expect(urlOf(place)).toBe(shown);
});

test.each(['ssh://anna@host/', 'sftp://host/in', 'sftp://anna@host/in?x=1', 'nonsense'])('%s is no place', (url) => {
  expect(() => parsePlace(url)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
});

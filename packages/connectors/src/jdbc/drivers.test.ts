import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DriverPlaces, jarsOf } from './drivers.ts';

const jar = Buffer.from('PK a driver');
const digest = (algorithm: string, bytes = jar) => createHash(algorithm).update(bytes).digest('hex');
const path = '/com/example/driver/1.0/driver-1.0.jar';
let files: Record<string, Buffer | string>;
let asked: string[];
let server: Server;
beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const file = files[request.url ?? ''];
    response.writeHead(file === undefined ? 404 : 200).end(file);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => void server.close());

function places(): DriverPlaces {
  asked = [];
  const folder = mkdtempSync(join(tmpdir(), 'millrace-drivers-'));
  return {
    cache: join(folder, 'cache'),
    local: join(folder, 'local'),
    repository: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };
}

test('a driver comes from the repository once, and is compared with its checksum', async () => {
  files = { [path]: jar, [`${path}.sha1`]: `${digest('sha1')}  driver-1.0.jar\n` };
  const at = places();
  const [first] = await jarsOf(['com.example:driver:1.0'], at);
  expect(readFileSync(first as string)).toEqual(jar);
  expect(asked).toEqual([path, `${path}.sha512`, `${path}.sha256`, `${path}.sha1`]);
  asked = [];
  expect(await jarsOf(['com.example:driver:1.0'], at)).toEqual([first]);
  expect(asked).toEqual([]);
});

test('one whose checksum is another, or that has none, is not kept', async () => {
  const at = places();
  files = { [path]: jar, [`${path}.sha256`]: digest('sha256', Buffer.from('another')), [`${path}.sha1`]: digest('sha1') };
  await expect(jarsOf(['com.example:driver:1.0'], at)).rejects.toMatchObject({
    code: 'FILE_CORRUPT',
    message: expect.stringContaining('sha256'),
  });
  files = { [path]: jar };
  await expect(jarsOf(['com.example:driver:1.0'], at)).rejects.toMatchObject({ code: 'FILE_CORRUPT' });
  expect(() => readdirSync(at.cache)).toThrow();
});

test('what is kept is fetched again where somebody has changed it', async () => {
  files = { [path]: jar, [`${path}.sha1`]: digest('sha1') };
  const at = places();
  const [kept] = await jarsOf(['com.example:driver:1.0'], at);
  writeFileSync(kept as string, 'changed');
  await jarsOf(['com.example:driver:1.0'], at);
  expect(readFileSync(kept as string)).toEqual(jar);
});

test('a pin is the content that it was looked at with, also of a path', async () => {
  files = { [path]: jar, [`${path}.sha1`]: digest('sha1') };
  const at = places();
  const own = join(mkdtempSync(join(tmpdir(), 'millrace-drivers-')), 'own.jar');
  writeFileSync(own, jar);
  expect(await jarsOf([`com.example:driver:1.0#sha256=${digest('sha256')}`, `${own}#sha256=${digest('sha256')}`], at)).toHaveLength(2);
  const other = '0'.repeat(64);
  await expect(jarsOf([`com.example:driver:1.0#sha256=${other}`], at)).rejects.toMatchObject({ code: 'FILE_CORRUPT' });
  await expect(jarsOf([`${own}#sha256=${other}`], at)).rejects.toMatchObject({ code: 'FILE_CORRUPT' });
});

test('a local Maven repository comes first', async () => {
  files = {};
  const at = places();
  mkdirSync(join(at.local, 'com/example/driver/1.0'), { recursive: true });
  writeFileSync(join(at.local, path), jar);
  expect(readFileSync((await jarsOf(['com.example:driver:1.0'], at))[0] as string)).toEqual(jar);
  expect(asked).toEqual([]);
});

test.each([
  ['com.example:none:1.0', 'CONFIG_INVALID'],
  ['/no/such.jar', 'CONFIG_INVALID'],
  ['a driver', 'CONFIG_INVALID'],
  ['com.example:../../etc:1.0', 'CONFIG_INVALID'],
])('%s is %s', async (name, code) => {
  files = {};
  await expect(jarsOf([name], places())).rejects.toMatchObject({ code });
});

test('a repository that is not there is told with the name of the driver', async () => {
  const at = { ...places(), repository: 'http://127.0.0.1:1' };
  await expect(jarsOf(['com.example:driver:1.0'], at)).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
    message: expect.stringContaining('com.example:driver:1.0'),
  });
});

test('a log-in of the repository goes into a header, and into no message', async () => {
  files = { [path]: jar, [`${path}.sha1`]: digest('sha1') };
  const at = places();
  const guarded = { ...at, repository: at.repository.replace('//', '//maven:tig%23er@') };
  const logins: (string | undefined)[] = [];
  const note = (request: { headers: { authorization?: string } }) => void logins.push(request.headers.authorization);
  server.on('request', note);
  try {
    expect(await jarsOf(['com.example:driver:1.0'], guarded)).toHaveLength(1);
    expect(logins.map((login) => Buffer.from(login?.slice(6) ?? '', 'base64').toString())).toEqual(Array(4).fill('maven:tig#er'));
    const refused = await jarsOf(['com.example:none:1.0'], guarded).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'CONFIG_INVALID' });
    const { message, facts, remedy } = refused as { message: string; facts: unknown; remedy: string };
    expect(JSON.stringify([message, facts, remedy])).not.toMatch(/tig/);
  } finally {
    server.off('request', note);
  }
});

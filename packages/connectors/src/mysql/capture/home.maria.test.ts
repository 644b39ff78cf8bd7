import { type Position, positionOf } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { openSession, type Session } from '../session.ts';
import { claimStream, confirmStream, makeHome, originate, readEvents, readStream, replaceStream, writeEvent } from './home.ts';
import { LastingSession } from './lasting-session.ts';
import { joinedNow } from './lineage.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());
beforeEach(() => server.sql('drop database if exists _millrace'));

const opened = (): Promise<Session> => openSession({ url: server.url }, testContext());
const at = (place: number): Position => positionOf(String(place).padStart(24, '0'));
const join = (place: number) => ({ kind: 'join', at: at(place), joined: joinedNow(['id', 'note'], null) }) as const;

test('an attempt that sleeps while it begins a stream takes nothing away from the one that a later attempt begins', async () => {
  await using session = await opened();
  await makeHome(session);
  const asleep: (() => void)[] = [];
  const sleepy = {
    async execute(text: string) {
      if (text.startsWith('DELETE')) await new Promise<void>((resolve) => asleep.push(resolve));
      return session.execute(text);
    },
  } as Session;
  const early = replaceStream(sleepy, 'shop', 1);
  await expect.poll(() => asleep.length).toBe(1);
  expect(await replaceStream(session, 'shop', 2)).toBe(true);
  expect(await writeEvent(session, 'shop', 2, 'items', join(20))).toBe(true);
  expect(await originate(session, 'shop', 2, at(20))).toBe(true);
  for (const wake of asleep) wake();
  await early;
  expect((await readEvents(session, 'shop')).get('items')).toEqual([join(20)]);
});

test('an attempt that came too late remembers nothing, releases nothing and begins nothing', async () => {
  await using session = await opened();
  await makeHome(session);
  await replaceStream(session, 'shop', 2);
  await originate(session, 'shop', 2, at(20));
  expect(await writeEvent(session, 'shop', 1, 'items', join(20))).toBe(false);
  await confirmStream(session, 'shop', 1, at(90));
  expect(await replaceStream(session, 'shop', 1)).toBe(false);
  expect(await originate(session, 'shop', 1, at(90))).toBe(false);
  expect(await claimStream(session, 'shop', 1)).toBe(false);
  expect(await readEvents(session, 'shop')).toEqual(new Map());
  expect(await readStream(session, 'shop')).toMatchObject({ epoch: 2, origin: at(20), confirmed: at(20) });
});

test('what is remembered again is remembered once', async () => {
  await using session = await opened();
  await makeHome(session);
  await replaceStream(session, 'shop', 1);
  for (let round = 0; round < 2; round++) expect(await writeEvent(session, 'shop', 1, 'items', join(20))).toBe(true);
  expect((await readEvents(session, 'shop')).get('items')).toEqual([join(20)]);
});

test('those who ask at once for a session that has ended get one and the same', async () => {
  await using lasting = new LastingSession({ url: server.url }, testContext());
  const first = await lasting.get();
  const connections = async (): Promise<number> =>
    Number((await server.sql(`select count(*) as n from information_schema.processlist where user = 'root'`))[0]?.['n']);
  const before = await connections();
  await server.sql(`kill ${first.thread}`);
  await expect.poll(() => first.ended).toBe(true);
  const asked = await Promise.all(Array.from({ length: 4 }, () => lasting.get()));
  expect(new Set(asked).size).toBe(1);
  expect(asked[0]).not.toBe(first);
  await expect.poll(connections).toBe(before);
  await lasting[Symbol.asyncDispose]();
  await expect.poll(connections).toBe(before - 1);
});

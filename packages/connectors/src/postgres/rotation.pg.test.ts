import { int8, secret, table, text } from '@millrace/core';
import type { Context } from '@millrace/core/runtime';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { begin, readToEnd } from '../../test/changes.ts';
import { loadRows, testContext } from '../../test/load.ts';
import { readPlan, wholeTable } from '../../test/read.ts';
import { openSession } from './client.ts';
import { postgres } from './index.ts';

/* A password that is changed in the middle of a run: what is looked up anew is used, and nobody notices. */

const items = table('items', { id: int8(), note: text() }, { key: ['id'] });

let db: TestDatabase;
let role: string;
let round = 0;
let word: string;
/** How often the secret was fetched from where it is kept. */
let fetched: number;

beforeAll(async () => {
  db = await testDatabase();
  role = `etl_${db.name}`;
  await db.sql(`create role ${role} login replication superuser`);
  await db.sql('create table items (id int8 primary key, note text not null)');
});
afterAll(async () => {
  await db.sql(`reassign owned by ${role} to postgres; drop role ${role}`);
  await db[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await rotate();
  fetched = 0;
});

async function rotate(): Promise<void> {
  word = `word-${++round}`;
  await db.sql(`alter role ${role} password '${word}'`);
}

/** Secrets as they are kept: what was looked up once stays, until somebody says that it was refused. */
function keeping(current: () => string): Context {
  let kept: string | undefined;
  return testContext(undefined, {
    secret: async (_, refused) => {
      if (kept === undefined || kept === refused) {
        kept = current();
        fetched++;
      }
      return kept;
    },
  });
}

function url(): string {
  const at = new URL(db.url);
  [at.username, at.password] = [role, word];
  return at.href;
}

test('a source, a target and a capture go on with the new password', async () => {
  const context = keeping(url);
  const shop = postgres({ url: secret('SHOP_URL') });
  await db.sql(`truncate items; insert into items select i, 'n' from generate_series(1, 30000) i`);
  await using source = await shop.selection(items).open(context);
  await rotate();
  const plan = await source.plan({ ...wholeTable, splitBytes: 65_536 });
  expect(plan.splits.length).toBeGreaterThan(2);
  expect((await readPlan(source, plan)).rows).toHaveLength(30_000);
  expect(fetched).toBe(2);

  await rotate();
  await loadRows(shop.table(items, { mode: 'merge' }), { splits: [[{ id: 30_001n, note: 'new' }]], context });
  expect(fetched).toBe(3);

  const captured = await begin(shop.capture({ items }), context);
  await rotate();
  await db.sql(`insert into items values (30002, 'captured')`);
  const groups = await readToEnd(captured.source, captured.position);
  await captured.source[Symbol.asyncDispose]();
  expect(groups.flatMap(({ changes }) => changes)).toHaveLength(1);
  expect(fetched).toBe(4);
});

test('a password that is wrong and stays so is told after two tries', async () => {
  const context = keeping(url);
  const right = word;
  word = 'never-this-one';
  const refused = await openSession({ url: secret('SHOP_URL') }, context).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  expect(fetched).toBe(2);
  word = right;
});

test('login= takes user and password from a secret that RDS manages, also when it is rotated', async () => {
  const context = keeping(() => JSON.stringify({ username: role, password: word }));
  const at = new URL(db.url);
  const settings = { url: `postgres://${at.host}${at.pathname}?login=${encodeURIComponent('rds!cluster-4711')}` };
  const who = async () => {
    await using session = await openSession(settings, context);
    return (await session.query('select current_user as me'))[0]?.['me'];
  };
  expect(await who()).toBe(role);
  await rotate();
  expect(await who()).toBe(role);
  expect(fetched).toBe(2);
});

test('in place of a URL there may be the JSON object of a database', async () => {
  const at = new URL(db.url);
  const object = { engine: 'postgres', host: at.hostname, port: Number(at.port), dbname: db.name, username: role, password: word };
  expect(postgres({ url: JSON.stringify(object) }).label).not.toContain(word);
  const context = keeping(() => JSON.stringify(object));
  await using session = await openSession({ url: secret('SHOP') }, context);
  expect([session.place.user, session.place.database, session.place.label]).toEqual([role, db.name, 'secret(SHOP)']);
});

test.each(['?login=A&auth=iam', '?login=A&password=b', '?auth=kerberos', '?hostaddr=somewhere'])(
  'a URL with %s is refused',
  async (query) => {
    await expect(openSession({ url: `postgres://u@db.example/x${query}` }, testContext())).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  },
);

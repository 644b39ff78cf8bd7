import { expect, it } from 'vitest';
import { testContext } from '../../../test/load.ts';
import type { Session } from '../client.ts';
import { deployOnRedshift } from '../object/deploy-on-redshift.ts';
import type { Doing } from './doing.ts';
import { refreshOnRedshift } from './refresh-on-redshift.ts';

/** What is said to a Redshift, and what it says of the files that it has. */
function world(deployed: readonly { readonly file: string; readonly hash: string }[] = []) {
  const statements: string[] = [];
  const told: string[] = [];
  const session = {
    execute: async (text: string) => {
      statements.push(text);
      return { rows: [], affected: null, command: '' };
    },
    query: async () => deployed,
  } as unknown as Session;
  const doing: Doing = {
    session,
    context: testContext(),
    owner: { pipeline: 'nightly', step: 's' },
    postgres: false,
    tell: (line) => told.push(line),
  };
  return { doing, statements, told };
}

it('views are refreshed in the order of the list, under quoted names', async () => {
  const { doing, statements, told } = world();
  expect(await refreshOnRedshift({ kind: 'refresh', views: ['a.daily', '"we""ird"'], concurrently: false }, doing)).toEqual([null, null]);
  expect(statements).toEqual(['REFRESH MATERIALIZED VIEW "a"."daily"', 'REFRESH MATERIALIZED VIEW "we""ird"']);
  expect(told).toEqual([expect.stringMatching(/^a\.daily: refreshed in/), expect.stringMatching(/^"we""ird": refreshed in/)]);
  await expect(refreshOnRedshift({ kind: 'refresh', views: ['a'], concurrently: true }, doing)).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    remedy: expect.stringContaining('do not wait'),
  });
});

it('of files those that have changed are run as they stand, and noted; nothing is dropped', async () => {
  const { doing, statements, told } = world([
    { file: 'a.sql', hash: '1' },
    { file: 'b.sql', hash: '1' },
    { file: 'gone.sql', hash: '1' },
  ]);
  const file = (name: string, hash: string) => ({ name, hash, text: `create or replace view ${name[0]} as select 1` });
  const files = [file('a.sql', '1'), file('b.sql', '2'), file('c.sql', '1')];
  await deployOnRedshift({ kind: 'objects', folder: '', files, removed: 'drop', changed: 'tell' }, doing);
  expect(statements.filter((text) => text.startsWith('create'))).toEqual([
    'create or replace view b as select 1',
    'create or replace view c as select 1',
  ]);
  expect(statements.filter((text) => /drop/i.test(text))).toEqual([]);
  expect(told).toEqual(['b.sql: deployed anew', 'c.sql: deployed', 'gone.sql is gone from the folder; what it made is still there']);
});

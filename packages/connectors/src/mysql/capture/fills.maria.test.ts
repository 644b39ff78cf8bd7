import { int4, table } from '@millrace/core';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, readToEnd } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true, settings: { 'sql-mode': 'NO_ENGINE_SUBSTITUTION' } });
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** Definitions, and whether what old rows have in them is to be known without a look at them. */
const definitions: readonly (readonly [definition: string, isKnown: boolean])[] = [
  ['int', true],
  ['int not null', true],
  ['int default 7', true],
  ['int default -7', true],
  ['int default +7', true],
  [`int default '7'`, true],
  ['int default (3 + 4)', false],
  ['bigint unsigned default 18446744073709551615', true],
  ['decimal(10,4) default 1.5', true],
  ['decimal(10,2) default 1.255', false],
  ['decimal(10,2) not null', true],
  ['double default .5', true],
  ['boolean default true', true],
  ['boolean not null default false', true],
  [`varchar(20) default 'it''s' comment 'default 3'`, true],
  [`varchar(20) default 'a' 'b' not null`, true],
  [`varchar(20) character set latin1 default 'é'`, true],
  [`varchar(20) default _latin1'e'`, false],
  [`varchar(20) default x'6162'`, false],
  ['varchar(20) not null', true],
  ['text', true],
  [`enum('é','ß') character set latin1 not null`, true],
  [`enum('b','a') character set sjis not null default 'a'`, true],
  ["date not null default '2024-02-29'", true],
  ['datetime default current_timestamp', false],
  ['datetime on update current_timestamp', true],
  ['timestamp', false],
  ['timestamp null', true],
  ['timestamp null default null', true],
  [`timestamp default '2024-02-29 12:00:00'`, false],
  ['json', true],
  ['point', true],
];

test('what rows have in a column that is added is told as they have it, or as something to look at', async () => {
  const database = await server.database();
  await database.sql('create table grown (id int primary key)', 'insert into grown values (1)');
  const grown = table('grown', { id: int4() }, { key: ['id'] });
  const { source, position } = await begin(mariadb({ url: database.url }).capture({ grown }), testContext());
  await using _source = source;
  for (const [place, [definition]] of definitions.entries())
    await database.sql('set explicit_defaults_for_timestamp = off', `alter table grown add period${place} ${definition}`);
  await database.sql('alter table grown add serial_one serial', 'insert into grown (id) values (2)');
  const changes = (await readToEnd(source, position)).flatMap(({ changes }) => changes);
  const added = changes.flatMap((change) => (change.op === 'schema' ? change.changes : [])) as {
    readonly column: { readonly name: string };
    readonly fill: string | null;
    readonly computed?: boolean;
  }[];
  const [row = {}] = await database.sql('select * from grown where id = 1');
  expect(added).toHaveLength(definitions.length + 1);
  expect(added.at(-1)).toMatchObject({ column: { name: 'serial_one' }, computed: true });
  const told = definitions.map(([definition], place) => {
    const { fill, computed = false } = added[place]!;
    return { definition, isKnown: !computed, fill };
  });
  const there = definitions.map(([definition, isKnown], place) => ({ definition, isKnown, fill: isKnown ? row[`period${place}`] : null }));
  expect(told).toEqual(there);
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { postgres } from '@millrace/connectors/postgres';
import { redshift } from '@millrace/connectors/redshift';
import { s3 } from '@millrace/connectors/s3';
import { extract, int4, load, pipeline, type Step, secret, table, text } from '@millrace/core';
import type { Columns } from '@millrace/core/runtime';
import { accepted, call, cast, check, dedupe, filter, hash, map, mask, notNull, on, unique } from '@millrace/transforms';
import { expect, test } from 'vitest';
import { testDatabase } from '../postgres.ts';
import { runPipeline } from '../run-pipeline.ts';

/** Names that end a name, a string, a list or a statement wherever they are not quoted. */
const hostile = [
  '"; DROP TABLE victim; --',
  `'); DROP TABLE victim; --`,
  '$1',
  'a.b',
  '%s',
  '{}',
  '../../x',
  'new\nline',
  '=1,"2"',
  '__proto__',
  'constructor',
  '😀',
  'NULL',
  'select',
  ' ',
];

const hostileValues = Array.from({ length: 20 }, (_, n) => `v2 ${n + 1}`);

type Rows = Step<Readonly<Record<string, unknown>>, 'rows'>;

test('hostile names of tables and columns mean what they say and nothing else', async () => {
  await using db = await testDatabase();
  const lake = mkdtempSync(path.join(tmpdir(), 'millrace-hostile-'));
  try {
    const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
    const ddl = ['id int4 primary key', ...hostile.map((name) => `${quoted(name)} text`)].join(', ');
    await db.sql('create table victim (id int4)');
    await db.sql(`create procedure public.${quoted(hostile[0] as string)}() language sql as 'select 1'`);
    const named = (end: string) => `public.${quoted(`${hostile[0]}${end}`)}`;
    await db.sql(`create table ${named('')} (${ddl})`);
    await db.sql(`insert into ${named('')} select n, ${hostile.map((_, at) => `'v${at} ' || n`).join(', ')} from generate_series(1, 20) n`);

    const columns: Columns = Object.fromEntries([['id', int4()], ...hostile.map((name) => [name, text().orNull()] as const)]);
    const described = (end: string) => table(named(end), columns, { key: ['id'] });
    const shop = postgres({ url: db.url });
    const files = s3({ url: `file:${lake}` });
    const create = { mode: 'merge', schema: 'create' } as const;

    const rows: Rows = extract(shop, described(''));
    const straight = load(rows, shop.table(described(' bytes'), create));
    const touched = map(rows, { to: described(''), row: (row) => ({ ...row, '{}': `${row['{}']}` }) });
    const checked = check(touched, [notNull('id'), unique('=1,"2"'), accepted('$1', hostileValues)]);
    const viaRows = load(checked, shop.table(described(' rows'), create));
    const some = filter(rows, [['$1', '<>', 'v2 3']]);
    const once = dedupe(some, { key: ['id', 'a.b'], by: 'constructor' });
    const shaped = cast(once, { '%s': text() }) as Rows;
    const hidden = mask(shaped, { 'new\nline': hash({ salt: secret('SALT') }) }) as Rows;
    const viaSql = load(hidden, shop.table(described(' sql'), create));
    const parquet = load(rows, files.parquet({ prefix: 'p/', partitionBy: ['NULL', '../../x'] }));
    const copied = load(parquet, redshift({ url: db.url }).copy(described(' copied'), create));
    const lines = load(rows, files.jsonl({ prefix: 'j/' }));
    const read: Rows = extract(files.dataset('j/', described('')), { after: [lines] });
    const filled = filter(read, [['$1', 'not null']]);
    const back = load(filled, shop.table(described(' lines'), create));
    const looked = check(shop, [on(described(' lines'), [unique('id'), notNull(hostile[0] as string)])], { after: [back] });

    const called = call(shop, `public.${quoted(hostile[0] as string)}`);

    const steps = {
      rows,
      called,
      straight,
      touched,
      checked,
      viaRows,
      some,
      once,
      shaped,
      hidden,
      viaSql,
      parquet,
      copied,
      lines,
      read,
      filled,
      back,
      looked,
    };
    await runPipeline(pipeline({ name: 'hostile', steps }), { secrets: { SALT: 'salt and pepper' } });

    const all = await db.sql(`select * from ${named('')} order by id`);
    for (const end of [' rows', ' bytes', ' copied', ' lines'])
      expect(await db.sql(`select * from ${named(end)} order by id`), end).toEqual(all);
    expect(await db.sql(`select count(*)::int as n from ${named(' sql')}`)).toEqual([{ n: 19 }]);
    expect(await db.sql('select count(*)::int as n from victim')).toEqual([{ n: 0 }]);
  } finally {
    rmSync(lake, { recursive: true, force: true });
  }
});

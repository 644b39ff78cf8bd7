import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { extract, int8, load, type Pipeline, pipeline, type Step, table, text, timestamptz } from '@millrace/core';
import type { Target } from '@millrace/core/runtime';
import { map } from '@millrace/transforms';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serverAccount } from '../../packages/cli/src/embedded/account.ts';
import { type TestDatabase, testDatabase } from '../postgres.ts';
import { type BadInput, expectRefusal } from './refusal.ts';

/** A file system of two megabytes; null, with the reason printed, where this machine does not let one be mounted. */
function smallDisk(): string | null {
  const directory = mkdtempSync(path.join(tmpdir(), 'millrace-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=0777', 'tmpfs', directory], { stdio: 'pipe' });
    return directory;
  } catch (error) {
    rmSync(directory, { recursive: true });
    console.warn(`The tests of a full disk are left out, since nothing can be mounted here: ${(error as Error).message.trim()}`);
    return null;
  }
}

const disk = smallDisk();
let db: TestDatabase;
let lake: string;
beforeAll(async () => {
  lake = mkdtempSync(path.join(tmpdir(), 'millrace-lake-'));
  db = await testDatabase();
  // Digests do not pack: ten megabytes stay about that.
  await db.sql(
    `create table source as select n::int8 as id, md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text) as noise from generate_series(1, 100000) n`,
  );
});
afterAll(async () => {
  await db?.[Symbol.asyncDispose]();
  if (disk) execFileSync('umount', [disk]);
  for (const directory of [lake, ...(disk ? [disk] : [])]) rmSync(directory, { recursive: true, force: true });
});

const noise = table('source', { id: int8().orNull(), noise: text().orNull() });
const loading = (into: (rows: Step<never, 'rows'>) => Record<string, Step>): Pipeline => {
  const rows = extract(postgres({ url: db.url }), noise) as Step<never, 'rows'>;
  return pipeline({ name: 'full', steps: { rows, ...into(rows) } });
};
const files = (url: string, format: 'parquet' | 'csv' | 'jsonl') => {
  const written = s3({ url: `file:${url}` })[format] as (options: { prefix: string }) => Target<unknown, 'rows', 'files'>;
  return written({ prefix: `${format}/` });
};

const rejected = table('rejected', {
  load_id: text(),
  pipeline: text(),
  step: text(),
  split: text(),
  ordinal: int8(),
  code: text(),
  reason: text(),
  row: text(),
  rejected_at: timestamptz(),
});

const full = disk ?? '';
const cases: readonly BadInput[] = [
  ...(['parquet', 'csv', 'jsonl'] as const).map(
    (format): BadInput => ({
      name: `no room for ${format} in the lake`,
      code: 'DISK_FULL',
      says: new RegExp(path.basename(full)),
      act: (run) => run(loading((rows) => ({ written: load(rows, files(full, format)) }))),
    }),
  ),
  ...(['parquet', 'csv', 'jsonl'] as const).map(
    (format): BadInput => ({
      name: `no room for ${format} on its way to the lake`,
      code: 'DISK_FULL',
      says: /space|room|full/i,
      act: (run) =>
        run(
          loading((rows) => ({ written: load(rows, files(lake, format)) })),
          { spool: full },
        ),
    }),
  ),
  {
    name: 'no room for rows that are set aside',
    code: 'DISK_FULL',
    says: /space|room|full/i,
    act: (run) => {
      const shop = postgres({ url: db.url });
      const quarantine = shop.table(rejected, { mode: 'append', schema: 'create' });
      const refuse = (): never => {
        throw new Error('none of them');
      };
      const made = loading((rows) => {
        const bad = map(rows as never, { to: noise, row: refuse, onBadRow: { quarantine } });
        return {
          bad,
          copied: load(
            bad,
            shop.table(table('copy', { id: int8().orNull(), noise: text().orNull() }), { mode: 'append', schema: 'create' }),
          ),
        };
      });
      return run(made, { spool: full });
    },
  },
  {
    name: 'no room on the server of the target',
    code: 'DISK_FULL',
    says: /No space left/,
    act: async (run) => {
      const owner = serverAccount('/nonexistent');
      if (owner) chownSync(full, owner.uid, owner.gid);
      const space = `small_${process.pid}`;
      await db.sql(`create tablespace ${space} location '${full}'`);
      try {
        await db.sql(`create table small (id int8, noise text) tablespace ${space}`);
        const target = postgres({ url: db.url }).table(table('small', { id: int8().orNull(), noise: text().orNull() }), { mode: 'append' });
        await run(loading((rows) => ({ copied: load(rows, target as never) })));
      } finally {
        expect(await db.sql('select count(*)::int as n from small')).toEqual([{ n: 0 }]);
        await db.sql('drop table small');
        await db.sql(`drop tablespace ${space}`);
      }
    },
  },
];

describe.skipIf(disk === null)('a full disk', () => {
  test.for(cases.map((one) => [one.name, one] as const))('%s: one clear error, and nothing that can be seen', async ([, bad]) => {
    await expectRefusal(bad);
    for (const place of [full, lake]) {
      expect(readdirSync(place, { recursive: true }).filter((file) => /_manifest.\d/.test(String(file)))).toEqual([]);
      for (const name of readdirSync(place)) rmSync(path.join(place, name), { recursive: true });
    }
  });
});

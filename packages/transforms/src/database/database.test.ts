import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compile, type DatabaseConnection, pipeline, type Step } from '@millrace/core/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { partitions } from './partitions.ts';
import { refresh } from './refresh.ts';
import { sqlObjects } from './sql-objects.ts';

const connection = {
  kind: 'connection',
  connector: 'test',
  label: 'warehouse',
  dialect: 'postgres',
  examine: async () => [],
  sql: () => ({ execute: () => Promise.reject(), query: () => Promise.reject() }),
  tasks: () => ({ perform: () => Promise.reject(), preview: async () => [] }),
} as DatabaseConnection;

const planOf = (one: Step) => compile(pipeline({ name: 'p', steps: { one } }));
const refused = (make: () => unknown) => {
  try {
    make();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
};

describe('sqlObjects', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-sql-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const put = (files: Record<string, string | Buffer>) => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(folder, name, '..'), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    return pathToFileURL(`${folder}/`);
  };

  it('takes the .sql files of the folder and of those in it, in the order of their names', () => {
    const at = put({ '20.sql': 'b', '10/b.sql': 'a', '10.SQL': 'c', '.hidden.sql': 'x', 'notes.md': 'x', '.git/x.sql': 'x' });
    const [step] = planOf(sqlObjects(connection, at)).steps;
    const named = (step?.description['files'] ?? []) as { name: string }[];
    expect(named.map(({ name }) => name)).toEqual(['10.SQL', '10/b.sql', '20.sql']);
    expect(step?.does).toBe('deploy 10.SQL, 10/b.sql, 20.sql of SQL at warehouse');
  });

  it('another text is another plan; other line ends, and another place on the disk, are not; and no text stands in it', () => {
    const plan = planOf(sqlObjects(connection, put({ 'a.sql': "select 'one'\n" })));
    expect(JSON.stringify(plan)).not.toContain("select 'one'");
    expect(JSON.stringify(plan)).not.toContain(folder);
    expect(planOf(sqlObjects(connection, put({ 'a.sql': "select 'one'\r\n" }))).fingerprint).toBe(plan.fingerprint);
    expect(planOf(sqlObjects(connection, put({ 'a.sql': "select 'two'\n" }))).fingerprint).not.toBe(plan.fingerprint);
    expect(planOf(sqlObjects(connection, put({}), { removed: 'drop' })).fingerprint).not.toBe(plan.fingerprint);
  });

  it('says what is wrong with what it is given', () => {
    expect(refused(() => sqlObjects(connection, './sql/' as never))).toBe('sqlObjects: "./sql/" does not say where the files are.');
    expect(refused(() => sqlObjects(connection, new URL('https://host/sql/')))).toContain('does not say where');
    expect(refused(() => sqlObjects(connection, new URL('./nowhere/', put({}))))).toMatch(/^sqlObjects: there is no folder .*nowhere/);
    expect(refused(() => sqlObjects(connection, put({ 'a.txt': '' })))).toMatch(/holds no \.sql file\.$/);
    expect(refused(() => sqlObjects(connection, put({ 'a.sql': Buffer.from([0xc3, 0x28]) })))).toBe(
      'sqlObjects: "a.sql" is not text in UTF-8.',
    );
    expect(refused(() => sqlObjects(connection, put({ 'a.sql': 'a\0b' })))).toBe('sqlObjects: "a.sql" is not text in UTF-8.');
    expect(refused(() => sqlObjects(connection, put({ 'a.sql': '' }), { removed: 'never' as never }))).toContain(
      'removed "never" is not known',
    );
    expect(refused(() => sqlObjects({ ...connection, tasks: undefined } as never, put({})))).toBe(
      'sqlObjects: test is not a database that does this.',
    );
  });
});

it('a refresh names its views once', () => {
  expect(planOf(refresh(connection, ['a.b', 'c'], { concurrently: true })).steps[0]).toMatchObject({
    does: 'refresh a.b, c concurrently at warehouse',
    description: { kind: 'refresh', views: ['a.b', 'c'], concurrently: true },
  });
  expect(refused(() => refresh(connection, []))).toBe('refresh: there is no view.');
  expect(refused(() => refresh(connection, ['a', 'a']))).toBe('refresh: a is named twice.');
  expect(refused(() => refresh(connection, 'a..b'))).toBe('refresh: "a..b" is not the name of a materialized view.');
  expect(refused(() => refresh(connection, 'a', { concurrently: 'yes' as never }))).toContain('concurrently "yes" is not known');
});

it('partitions are of a known period, in a known time zone, and expire only when it is said when', () => {
  expect(planOf(partitions(connection, 'public.events', { by: 'day', ahead: 14, keep: '90d', expired: 'drop' })).steps[0]).toMatchObject({
    does: 'keep partitions of public.events by day, 14 ahead at warehouse',
    description: { timeZone: 'UTC', expired: { afterMs: 7_776_000_000, action: 'drop' } },
  });
  for (const [options, message] of [
    [{ by: 'year', ahead: 1 }, 'by "year" is not known'],
    [{ by: 'day', ahead: -1 }, 'ahead -1 is not a number of periods'],
    [{ by: 'day', ahead: 1.5 }, 'ahead 1.5 is not a number of periods'],
    [{ by: 'day', ahead: 1_001 }, 'ahead 1001'],
    [{ by: 'day', ahead: 1, timeZone: 'Paris' }, '"Paris" is no time zone'],
    [{ by: 'hour', ahead: 1, timeZone: 'Europe/Paris' }, 'an hour has no time zone'],
    [{ by: 'day', ahead: 1, expired: 'drop' }, 'nothing says which are old'],
    [{ by: 'day', ahead: 1, keep: '0d' }, 'keeps nothing'],
    [{ by: 'day', ahead: 1, keep: 'a while' }, '"a while" is not a duration'],
    [{ by: 'day', ahead: 1, keep: '1d', expired: 'burn' }, 'expired "burn" is not known'],
  ] as const) {
    expect(refused(() => partitions(connection, 'public.events', options as never))).toContain(message);
  }
});

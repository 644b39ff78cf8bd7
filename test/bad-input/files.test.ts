import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { s3 } from '@millrace/connectors/s3';
import { date, extract, int4, load, numeric, type Pipeline, pipeline, type Step, table, text } from '@millrace/core';
import type { Selection } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runPipeline } from '../run-pipeline.ts';
import { type BadInput, expectRefusal } from './refusal.ts';

const people = table('people', { id: int4(), name: text().orNull(), born: date().orNull(), balance: numeric(10, 2).orNull() });

let home: string;
const lake = () => s3({ url: `file:${home}` });
const put = (name: string, content: string | Buffer): void => {
  mkdirSync(path.dirname(path.join(home, name)), { recursive: true });
  writeFileSync(path.join(home, name), content);
};
const row = (n: number): string => `${n},"name, of\n""${n}""",2024-02-${String((n % 28) + 1).padStart(2, '0')},${n}.50`;
const header = 'id,name,born,balance';
const lines = (count: number): string =>
  Array.from({ length: count }, (_, n) => `{"id":${n},"name":"name ${n}","born":"2024-02-29","balance":1.5}\n`).join('');

const reading = (selection: Selection<never>): Pipeline => {
  const rows = extract(selection) as Step<never, 'rows'>;
  return pipeline({
    name: 'files',
    steps: { rows, written: load(rows, lake().jsonl({ prefix: 'out/', mode: 'replace', codec: 'none' })) },
  });
};

beforeAll(async () => {
  home = mkdtempSync(path.join(tmpdir(), 'millrace-files-'));
  put('good/rows.csv', `${header}\n${Array.from({ length: 5_000 }, (_, n) => row(n)).join('\n')}\n`);
  const rows = extract(lake().csv('good/*.csv', people));
  const steps = {
    rows,
    parquet: load(rows, lake().parquet({ prefix: 'parquet/' })),
    csv: load(rows, lake().csv({ prefix: 'csv/' })),
    zstd: load(rows, lake().csv({ prefix: 'zstd/', codec: 'zstd' })),
    jsonl: load(rows, lake().jsonl({ prefix: 'jsonl/' })),
  };
  await runPipeline(pipeline({ name: 'seed', steps }));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** The one file of a dataset that was written, with its end cut off, under another name. */
function cut(dataset: string, share = 0.6): string {
  const [file = ''] = readdirSync(path.join(home, dataset, 'data'));
  const whole = path.join(home, dataset, 'data', file);
  const name = `cut/${dataset}-${file}`;
  mkdirSync(path.join(home, 'cut'), { recursive: true });
  copyFileSync(whole, path.join(home, name));
  truncateSync(path.join(home, name), Math.floor(readFileSync(whole).length * share));
  return name;
}

const cases: readonly BadInput[] = [
  {
    name: 'Parquet that is cut short',
    code: 'FILE_CORRUPT',
    says: /cut\/parquet-.*\.parquet/,
    act: (run) => run(reading(lake().parquet(cut('parquet'), people) as never)),
  },
  {
    name: 'Parquet that lacks its last byte',
    code: 'FILE_CORRUPT',
    says: /cut\/parquet-.*\.parquet/,
    act: (run) => run(reading(lake().parquet(cut('parquet', 0.9999), people) as never)),
  },
  {
    name: 'gzip that is cut short',
    code: 'FILE_CORRUPT',
    says: /cut\/csv-.*\.csv\.gz/,
    act: (run) => run(reading(lake().csv(cut('csv'), people) as never)),
  },
  {
    name: 'gzip that lacks its last bytes',
    code: 'FILE_CORRUPT',
    says: /cut\/csv-.*\.csv\.gz/,
    act: (run) => run(reading(lake().csv(cut('csv', 0.9999), people) as never)),
  },
  {
    name: 'zstd that is cut short',
    code: 'FILE_CORRUPT',
    says: /cut\/zstd-.*\.csv\.zst/,
    act: (run) => run(reading(lake().csv(cut('zstd'), people) as never)),
  },
  {
    name: 'packed JSON Lines that are cut short',
    code: 'FILE_CORRUPT',
    says: /cut\/jsonl-.*\.jsonl\.gz/,
    act: (run) => run(reading(lake().jsonl(cut('jsonl'), people) as never)),
  },
  {
    name: 'JSON Lines that end within a line',
    code: 'FILE_CORRUPT',
    says: /torn\.jsonl/,
    act: (run) => {
      put('torn.jsonl', lines(1_000).slice(0, -20));
      return run(reading(lake().jsonl('torn.jsonl', people) as never));
    },
  },
  {
    name: 'CSV that ends within quotes',
    code: 'FILE_CORRUPT',
    says: /torn\.csv/,
    act: (run) => {
      put('torn.csv', `${header}\n${row(1)}\n2,"never closed`);
      return run(reading(lake().csv('torn.csv', people) as never));
    },
  },
  {
    name: 'CSV that ends within a row',
    code: 'FILE_CORRUPT',
    says: /short\.csv/,
    act: (run) => {
      put('short.csv', `${header}\n${row(1)}\n2,two`);
      return run(reading(lake().csv('short.csv', people) as never));
    },
  },
  {
    name: 'CSV that is called gzip',
    code: 'FILE_CORRUPT',
    says: /plain\.csv\.gz/,
    act: (run) => {
      put('plain.csv.gz', `${header}\n${row(1)}\n`);
      return run(reading(lake().csv('plain.csv.gz', people) as never));
    },
  },
  {
    name: 'gzip with a changed byte',
    code: 'FILE_CORRUPT',
    says: /flipped\.csv\.gz/,
    act: (run) => {
      const packed = gzipSync(readFileSync(path.join(home, 'good/rows.csv')));
      packed[packed.length - 6] = (packed[packed.length - 6] as number) ^ 0xff; // of the checksum
      put('flipped.csv.gz', packed);
      return run(reading(lake().csv('flipped.csv.gz', people) as never));
    },
  },
  {
    name: 'something else that is called Parquet',
    code: 'FILE_CORRUPT',
    says: /text\.parquet/,
    act: (run) => {
      put('text.parquet', 'no Parquet at all, but long enough to look into');
      return run(reading(lake().parquet('text.parquet', people) as never));
    },
  },
  {
    name: 'Parquet without a byte',
    code: 'FILE_CORRUPT',
    says: /empty\.parquet/,
    act: (run) => {
      put('empty.parquet', '');
      return run(reading(lake().parquet('empty.parquet', people) as never));
    },
  },
  {
    name: 'a column that the file does not have',
    code: 'SCHEMA_DRIFT',
    says: /"colour"/,
    act: (run) => run(reading(lake().csv('good/*.csv', table('people', { id: int4(), colour: text().orNull() })) as never)),
  },
  {
    name: 'a column of Parquet that has another type',
    code: 'SCHEMA_DRIFT',
    says: /"name"/,
    act: (run) => run(reading(lake().parquet('parquet/data/*.parquet', table('people', { id: int4(), name: date().orNull() })) as never)),
  },
  {
    name: 'a value that does not fit its column',
    code: 'TYPE_MISMATCH',
    says: /"born".*soon/s,
    act: (run) => {
      put('misfit.csv', `${header}\n${row(1)}\n2,two,soon,1.00\n`);
      return run(reading(lake().csv('misfit.csv', people) as never));
    },
  },
  {
    name: 'a value that does not fit a column named as converters name theirs',
    code: 'TYPE_MISMATCH',
    says: /"c1".*soon/s,
    act: (run) => {
      put('named.csv', 'c2,c0,c1\n1,2,2024-02-29\n1,2,soon\n');
      return run(reading(lake().csv('named.csv', table('named', { c2: int4(), c0: int4(), c1: date() })) as never));
    },
  },
  {
    name: 'nothing where a value must stand',
    code: 'TYPE_MISMATCH',
    says: /"id"/,
    act: (run) => {
      put('hole.csv', `${header}\n,two,2024-02-29,1.00\n`);
      return run(reading(lake().csv('hole.csv', people) as never));
    },
  },
  {
    name: 'a pattern that matches no file',
    code: 'TABLE_MISSING',
    says: /nowhere/,
    act: (run) => run(reading(lake().csv('nowhere/*.csv', people) as never)),
  },
  {
    name: 'a pattern that leads out of the lake',
    code: 'PIPELINE_INVALID',
    says: /\.\./,
    act: (run) => run(reading(lake().csv('../*.csv', people) as never)),
  },
  {
    name: 'a dataset whose file was cut by somebody',
    code: 'MANIFEST_MISMATCH',
    says: /parquet/,
    act: async (run) => {
      const rows = extract(lake().csv('good/*.csv', people));
      await run(pipeline({ name: 'changed', steps: { rows, written: load(rows, lake().parquet({ prefix: 'changed/' })) } }));
      const folder = path.join(home, 'changed/data');
      truncateSync(path.join(folder, readdirSync(folder)[0] as string), 100);
      await run(reading(lake().dataset('changed/', people) as never));
    },
  },
];

test.for(cases.map((one) => [one.name, one] as const))('%s is told by one clear error', async ([, bad]) => {
  await expectRefusal(bad);
  expect(
    readdirSync(home).includes('out')
      ? readdirSync(path.join(home, 'out'), { recursive: true }).filter((file) => /_manifest.\d/.test(String(file)))
      : [],
  ).toEqual([]);
});

test.for([
  ['CSV with nothing but its header', 'header.csv', `${header}\n`],
  ['CSV without a byte', 'empty.csv', ''],
  ['JSON Lines without a byte', 'empty.jsonl', ''],
  ['packed JSON Lines without a byte', 'empty.jsonl.gz', gzipSync('')],
] as const)('%s is a table without rows', async ([, name, content]) => {
  put(name, content);
  const files = name.endsWith('.csv') ? lake().csv(name, people) : lake().jsonl(name, people);
  const rows = extract(files);
  const target = lake().parquet({ prefix: `none-${name}/` });
  const written = load(rows, target);
  const again = extract(lake().dataset(`none-${name}/`, people), { after: [written] });
  const twice = load(again, lake().csv({ prefix: `none-twice-${name}/` }));
  const { outputs } = await runPipeline(pipeline({ name: 'none', steps: { rows, written, again, twice } }));
  expect(outputs).toMatchObject({ written: { receipt: { rows: 0 } }, twice: { receipt: { rows: 0 } } });
});

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

/*
 * A pipeline file must stay cheap to type, or editors become slow where pipelines become large. The compiler counts type
 * instantiations, which, unlike time, are the same on every machine. What is counted here is what the steps of a pipeline
 * add to a file that has the same imports, connections and tables.
 */

const root = join(import.meta.dirname, '..');
const parent = join(root, '.millrace', 'test');
mkdirSync(parent, { recursive: true });
const folder = mkdtempSync(join(parent, 'type-cost-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a pipeline of 100 steps over five tables of 31 columns costs fewer than 2,000 type instantiations', () => {
  const without = instantiations('without-steps', pipelineFile(0));
  const whole = instantiations('hundred-steps', pipelineFile(10));
  console.log(`type cost of 100 steps: ${whole - without} instantiations`);
  expect(whole - without).toBeLessThan(2_000);
}, 60_000);

test('a stream of 20 tables of 31 columns costs fewer than 320 type instantiations for each table and step', () => {
  const cost = instantiations('stream', streamFile(20)) - instantiations('no-stream', streamFile(0));
  console.log(`type cost of a stream of 20 tables through 5 steps: ${cost} instantiations`);
  expect(cost).toBeLessThan(20 * 5 * 320);
}, 60_000);

test('a row function that reads a column which is not there is one error, on its own token', () => {
  const text = pipelineFile(1).replace('row.amount_1', 'row.amuont_1');
  const { errors } = compile('wrong-column', text);
  expect(errors).toHaveLength(1);
  const [line, column] = position(text, 'amuont_1');
  expect(errors[0]).toMatch(new RegExp(`\\(${line},${column}\\): error TS2551: Property 'amuont_1' does not exist`));
}, 60_000);

/** Ten steps a chain, two chains a table: from a 31-column source through functions into files and two targets, each chain after the one before. */
function pipelineFile(chains: number): string {
  const tables = Array.from({ length: 5 }, (_, at) => at);
  const declared = tables.map(
    (at) => `
const source${at} = table('public.source_${at}', { id: int8(), ${columns()}, updated_at: timestamptz() }, { key: ['id'] });
const target${at} = table('public.target_${at}', { id: int8(), amount: numeric(12, 2), day: text() }, { key: ['id'] });`,
  );
  const made = Array.from({ length: chains }, (_, at) => {
    const [source, target] = [`source${at % 5}`, `target${at % 5}`];
    const after = at > 0 ? `, { after: [dated${at - 1}] }` : '';
    return `
const read${at} = extract(shop, ${source}, { since: 'updated_at', lag: '5m' });
const paid${at} = filter(read${at}, [['amount_1', '>', '0']]);
const known${at} = filter(paid${at}, (row) => row.note_2 !== null);
const facts${at} = map(known${at}, { to: ${target}, row: (row) => ({ id: row.id, amount: row.amount_1, day: row.updated_at.slice(0, 10) }) });
const large${at} = filter(facts${at}, (row) => row.amount.length > 6);
const files${at} = load(facts${at}, lake(${target}));
const copied${at} = load(files${at}, copy(${target})${after});
const listed${at} = load(large${at}, merge(${target}));
const days${at} = select(large${at}, ['id', 'day']);
const dated${at} = load(days${at}, daysInto);`;
  });
  const names = ['read', 'paid', 'known', 'facts', 'large', 'files', 'copied', 'listed', 'days', 'dated'];
  const listed = Array.from({ length: chains }).flatMap((_, at) => names.map((name) => `${name}${at}`));
  return `import { daily, extract, int8, load, numeric, pipeline, type RowOf, type Table, table, text, timestamptz } from '@millrace/core';
import type { Columns, TableConnection, Target } from '@millrace/core/runtime';
import { filter, map, select } from '@millrace/transforms';

declare const shop: TableConnection;
declare const daysInto: Target<{ readonly id: bigint; readonly day: string }, 'rows', 'table'>;
declare function lake<C extends Columns>(table: Table<C>): Target<RowOf<Table<C>>, 'rows', 'files'>;
declare function copy<C extends Columns>(table: Table<C>): Target<RowOf<Table<C>>, 'files', 'table'>;
declare function merge<C extends Columns>(table: Table<C>): Target<RowOf<Table<C>>, 'rows', 'table'>;
${declared.join('')}
${made.join('\n')}

void [copy, daysInto, extract, filter, lake, load, map, merge, select, shop];
export default pipeline({ name: 'generated', runs: daily('02:00', 'Europe/Paris'), steps: { ${listed.join(', ')} } });
`;
}

/** A capture of so many tables, masked, mapped, filtered, renamed and cut, into two targets. */
function streamFile(tables: number): string {
  const all = Array.from({ length: tables }, (_, at) => at);
  const each = (what: (at: number) => string): string => `{ ${all.map((at) => `source${at}: ${what(at)}`).join(', ')} }`;
  return `import { capture, continuous, int8, load, numeric, pipeline, secret, table, text, timestamptz } from '@millrace/core';
import type { CaptureConnection, ChangeTarget } from '@millrace/core/runtime';
import { filter, hash, map, mask, redact, rename, select } from '@millrace/transforms';

declare const shop: CaptureConnection<object>;
declare const mirror: ChangeTarget<unknown>;
${Array.from({ length: 20 }, (_, at) => `const source${at} = table('public.source_${at}', { id: int8(), ${columns()}, updated_at: timestamptz() }, { key: ['id'] });`).join('\n')}
${
  tables === 0
    ? 'void [capture, filter, hash, load, map, mask, mirror, redact, rename, secret, select, shop];'
    : `
const changes = capture(shop, { tables: ${each((at) => `source${at}`)} });
const masked = mask(changes, ${each(() => "{ note_2: hash({ salt: secret('S') }), note_5: redact() }")});
const mapped = map(masked, ${each((at) => `{ to: source${at}, row: (row) => (row.note_2 === null ? null : { ...row, note_8: 'x' }) }`)});
const filtered = filter(mapped, ${each(() => "[['amount_1', '>', '0']]")});
const renamed = rename(filtered, ${each(() => "{ amount_1: 'amount' }")});
const some = select(renamed, ${each(() => "['id', 'amount', 'note_2']")});
const mirrored = load(renamed, mirror);
const archived = load(some, mirror);`
}
export default pipeline({ name: 'generated', runs: continuous, steps: { ${tables === 0 ? '' : 'changes, masked, mapped, filtered, renamed, some, mirrored, archived'} } });
`;
}

/** 29 columns, of three types. */
function columns(): string {
  return Array.from(
    { length: 29 },
    (_, at) => [`amount_${at}: numeric(12, 2)`, `note_${at}: text().orNull()`, `count_${at}: int8()`][(at + 2) % 3],
  ).join(', ');
}

function instantiations(name: string, text: string): number {
  const { output, errors } = compile(name, text);
  expect(errors).toEqual([]);
  return Number(/^Instantiations:\s+(\d+)$/m.exec(output)?.[1]);
}

function compile(name: string, text: string): { output: string; errors: string[] } {
  const file = `${name}.ts`;
  writeFileSync(join(folder, file), text);
  const config = join(folder, `tsconfig.${name}.json`);
  writeFileSync(config, JSON.stringify({ extends: '../../../tsconfig.test.json', include: [file], exclude: [] }));
  // One checker thread: several would each count the types they share.
  const args = [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    config,
    '--extendedDiagnostics',
    '--singleThreaded',
    '--pretty',
    'false',
  ];
  const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  return { output: stdout, errors: stdout.split('\n').filter((line) => line.startsWith(file) && line.includes('error TS')) };
}

function position(text: string, token: string): [line: number, column: number] {
  const before = text.slice(0, text.indexOf(token)).split('\n');
  return [before.length, (before.at(-1)?.length ?? 0) + 1];
}

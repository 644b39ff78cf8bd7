import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { millrace, type RunningCommand, startMillrace } from './command.ts';
import { type TestProject, testProject } from './project.ts';

let state: TestDatabase;
let project: TestProject;
let running: RunningCommand[];
const options = () => ({ cwd: project.root, env: { MILLRACE_STATE_URL: state.url } });
const patient = { timeout: 60_000, interval: 200 };

/** Two stages, which note by which version of the file they were run. The first one waits for `go()` where it is to be held. */
const noting = (version: string, { held = false } = {}) => `import { postgres } from '@millrace/connectors/postgres';
import { daily, pipeline, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';
import { note } from '../notes.ts';
const state = postgres({ url: secret('MILLRACE_STATE_URL') });
const wait = 'do $$ begin while not exists (select from public.go) loop perform pg_sleep(0.05); end loop; end $$';
const first = sql(state, [note('${version}', 'first')${held ? ', wait' : ''}], { transaction: false });
const second = sql(state, [note('${version}', 'second')], { after: [first] });
export default pipeline({ name: 'noting', runs: daily('02:00', 'UTC', { overlap: 'allow' }), concurrency: 2, steps: { first, second } });
`;
const notes = `export const note = (version: string, stage: string) => \`insert into public.note values ('\${version}', '\${stage}')\`;`;
const noted = async () =>
  (await state.sql<{ text: string }>(`select version || ' ' || stage as text from public.note order by at`)).map(({ text }) => text);

beforeAll(async () => {
  state = await testDatabase();
});
afterAll(() => state[Symbol.asyncDispose]());
beforeEach(async () => {
  running = [];
  await state.sql(`drop schema if exists millrace cascade; drop schema if exists _millrace cascade; drop table if exists public.note, public.go; create table public.go (since timestamptz);
    create table public.note (version text, stage text, at timestamptz default clock_timestamp())`);
  project = testProject({
    'millrace.config.ts': `import { defineConfig } from '@millrace/core';
export default defineConfig({ pipelines: 'pipelines/*.ts', environments: { local: {}, prod: { executor: 'fleet' } } });
`,
    'notes.ts': notes,
    'pipelines/noting.ts': noting('one'),
  });
});
afterEach(async () => {
  for (const { process: child, ended } of running) {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), 'SIGKILL');
    await ended;
  }
  project[Symbol.dispose]();
});

function start(...args: string[]): RunningCommand {
  const dev = startMillrace(['dev', ...args], options());
  running.push(dev);
  return dev;
}
const go = () => state.sql('insert into public.go values (now())');
const trigger = () => millrace(['schedule', 'trigger', 'noting'], options());

test('what is saved is compiled and deployed at once, what does not compile is told, and a run ends with the code it was made from', async () => {
  const dev = start('--json');
  await dev.said('"type":"developing"');
  project.write({ 'pipelines/noting.ts': noting('two', { held: true }) });
  await dev.said('"type":"reloaded"');
  expect(await trigger()).toMatchObject({ code: 0 });
  await expect.poll(noted, patient).toEqual(['two first']);

  // While its first stage runs, the file becomes another, then breaks, then is mended; what it imports changes as well.
  project.write({ 'pipelines/noting.ts': noting('three') });
  await dev.said('three');
  project.write({ 'pipelines/noting.ts': 'export default pipeline(' });
  await dev.said('"type":"broken"');
  expect(await trigger()).toMatchObject({ code: 0 });
  await expect.poll(noted, patient).toEqual(['two first', 'three first', 'three second']);
  await go();
  await expect.poll(noted, patient).toEqual(['two first', 'three first', 'three second', 'two second']);

  project.write({ 'pipelines/noting.ts': noting('four'), 'notes.ts': notes.replace('version}', 'version} of new notes') });
  await dev.said('four of new notes');
  expect(await trigger()).toMatchObject({ code: 0 });
  await expect.poll(noted, patient).toContain('four of new notes second');

  process.kill(dev.process.pid as number, 'SIGINT');
  const ended = await dev.ended;
  expect(ended).toMatchObject({ code: 130, stderr: '' });
  const said = ended.json<{ type: string; file?: string; keeps?: string; error?: { message: string }; result?: string }>();
  expect(said.filter(({ type }) => type === 'broken')).toMatchObject([
    { file: 'pipelines/noting.ts', keeps: 'noting', error: { message: expect.stringMatching(/noting\.ts:1:\d+/) } },
  ]);
  expect(said.filter(({ type }) => type === 'run.ended').map(({ result }) => result)).toEqual(['succeeded', 'succeeded', 'succeeded']);
  expect(said.at(-1)).toMatchObject({ type: 'drained', unfinished: [] });
});

test('Ctrl-C gives back what runs, and the next start goes on with it; lines tell people of all of it', async () => {
  project.write({ 'pipelines/noting.ts': noting('slow', { held: true }) });
  const first = start();
  await first.said('Ctrl-C drains');
  expect(await trigger()).toMatchObject({ code: 0 });
  await first.said('first  running');
  await expect.poll(noted, patient).toEqual(['slow first']);
  process.kill(first.process.pid as number, 'SIGINT');
  const { code, stderr } = await first.ended;
  expect({ code, stderr }).toMatchObject({
    code: 130,
    stderr: expect.stringContaining('compiled noting: 2 stages, at 0 2 * * * UTC overlap allow'),
  });
  expect(stderr).toContain('first  given back in');
  expect(stderr).toContain('1 run unfinished: "millrace dev" goes on with them.');

  // Another version cannot go on with it, and says so.
  project.write({ 'pipelines/noting.ts': noting('quick') });
  const other = start();
  await other.said('was made from another version');
  process.kill(other.process.pid as number, 'SIGTERM');
  expect(await other.ended).toMatchObject({ code: 143 });

  project.write({ 'pipelines/noting.ts': noting('slow', { held: true }) });
  const second = start();
  await second.said('Going on with run');
  await go();
  await second.said('succeeded in');
  await expect.poll(noted, patient).toEqual(['slow first', 'slow first', 'slow second']);
});

test('a file of SQL that is saved, and one that is added, are another version of their pipeline', async () => {
  const version = (n: number) => `create or replace view public.of_dev as select ${n} as version`;
  const objects = `import { postgres } from '@millrace/connectors/postgres';
import { pipeline, secret } from '@millrace/core';
import { sqlObjects } from '@millrace/transforms';
const objects = sqlObjects(postgres({ url: secret('MILLRACE_STATE_URL') }), new URL('../sql/', import.meta.url));
export default pipeline({ name: 'noting', steps: { objects } });
`;
  project.write({ 'sql/view.sql': version(1), 'pipelines/noting.ts': objects });
  const dev = start('--json');
  await dev.said('"type":"developing"');
  project.write({ 'sql/view.sql': version(2) });
  await dev.said('"type":"reloaded"');
  project.write({ 'sql/view_2.sql': 'create or replace view public.of_dev_too as select version from public.of_dev' });
  await dev.said('view_2.sql');
  expect(await trigger()).toMatchObject({ code: 0 });
  const found = async () => (await state.sql(`select to_regclass('public.of_dev_too') is not null as there`))[0]?.['there'];
  await expect.poll(found, patient).toBe(true);
  expect(await state.sql('select version from public.of_dev_too')).toEqual([{ version: 2 }]);
  await state.sql('drop view public.of_dev_too, public.of_dev');
});

test('an environment with a fleet is not for it', async () => {
  const refused = await millrace(['dev', '--env', 'prod'], options());
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('would deploy what is on this machine') });
});

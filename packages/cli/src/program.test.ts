import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { exitCodes } from './exit-code.ts';
import { program } from './program.ts';

afterEach(() => void vi.restoreAllMocks());

/** What commander says before any command begins; `main` makes exit code 2 of it. */
async function refused(args: string[]): Promise<string> {
  let said = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += text;
    return true;
  });
  await expect(program().parseAsync(args, { from: 'user' })).rejects.toBeInstanceOf(CommanderError);
  return said;
}

test.each([
  [['run'], 'missing required argument'],
  [['walk'], "unknown command 'walk'"],
  [['plan', '--colour'], "unknown option '--colour'"],
  [['runs', 'list', '--limit', 'all'], 'whole number'],
  [['runs', 'list', '--limit', 'all'], '(millrace runs list --help)'],
  [['runs', 'list', '--state', 'lost'], 'Allowed choices are'],
  [['run', 'copy-orders', '--param', 'x'], 'name=value'],
  [['graph', 'copy-orders', '--format', 'png'], 'Allowed choices are'],
  [['run', 'shop-mirror', '--until', 'tomorrow'], 'Allowed choices are'],
  [['backfill', 'create', 'nightly'], '--range'],
  [['backfill', 'create', 'nightly', '--range', 'a..b', '--by', 'year'], 'Allowed choices are'],
  [['backfill', 'create', 'nightly', '--range', 'a..b', '--max-parallel', '0'], 'at least 1'],
])('%j is a usage error', async (args, message) => {
  expect(await refused(args)).toContain(message);
});

test('every verb takes --json, --env, --config and --debug, and the help ends with all exit codes', () => {
  const millrace = program();
  const verbs = millrace.commands.flatMap((command) => (command.commands.length > 0 ? command.commands : [command]));
  expect(verbs.map((verb) => verb.name())).toEqual([
    'init',
    'introspect',
    'plan',
    'graph',
    'compile',
    'deploy',
    'run',
    'dev',
    'worker',
    'run-step',
    'scheduler',
    'list',
    'pause',
    'resume',
    'trigger',
    'forget',
    'create',
    'list',
    'show',
    'resume',
    'cancel',
    'list',
    'show',
    'logs',
    'watch',
    'cancel',
    'retry',
    'status',
    'resync',
    'verify',
    'doctor',
  ]);
  for (const verb of verbs)
    expect(verb.options.map(({ long }) => long)).toEqual(expect.arrayContaining(['--json', '--env', '--config', '--debug']));
  let help = '';
  millrace
    .configureOutput({
      writeOut: (text) => {
        help += text;
      },
    })
    .outputHelp();
  for (const code of Object.values(exitCodes)) expect(help).toMatch(new RegExp(`^ +${code}  \\S`, 'm'));
});

test('every command that a message or a page tells to type is there', () => {
  const millrace = program();
  const verbs = new Set(
    millrace.commands.flatMap((command) => [command.name(), ...command.commands.map((below) => `${command.name()} ${below.name()}`)]),
  );
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const below = (folder: string, ends: RegExp): string[] =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).flatMap((file) => (ends.test(file) ? [join(folder, file)] : []));
  const sources = readdirSync(join(root, 'packages')).flatMap((name) => below(`packages/${name}/src`, /(?<!\.test)\.ts$/));
  const named = [
    ...sources.map((file) => ({ file, mention: /(?:"|: |npx )millrace (runs \w+|[a-z]+)/g })),
    ...['README.md', ...below('docs', /\.md$/)].map((file) => ({ file, mention: /(?:"|`|npx |^)millrace (runs \w+|[a-z]+)/gm })),
  ].flatMap(({ file, mention }) => [...readFileSync(join(root, file), 'utf8').matchAll(mention)].map(([, verb = '']) => ({ file, verb })));
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter(({ verb }) => !verbs.has(verb))).toEqual([]);
});

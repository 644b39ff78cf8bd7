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
    'run',
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

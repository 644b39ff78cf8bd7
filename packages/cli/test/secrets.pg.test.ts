import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { millrace } from './command.ts';
import { type TestProject, testProject } from './project.ts';

/* What a process of a fleet says when it cannot start: never a password, wherever it stood. */

const word = 'open-sesame-4711';
let state: TestDatabase;
let project: TestProject;

beforeAll(async () => {
  state = await testDatabase();
  const wrong = wrongPassword();
  project = testProject({
    'millrace.config.ts': `import { defineConfig, secret } from '@millrace/core';
const fleet = { secrets: ['env'], executor: 'fleet' } as const;
export default defineConfig({ pipelines: 'pipelines/*.ts', environments: {
  secret: { ...fleet, state: secret('STATE_URL') },
  written: { ...fleet, state: ${JSON.stringify(wrong)} },
  away: { ...fleet, state: 'postgres://someone:${word}@127.0.0.1:1/nowhere' },
  redis: { ...fleet, state: secret('RIGHT_URL'), fleet: { dispatch: { redis: secret('REDIS_URL') } } },
  managed: { secrets: ['env'], state: secret('MANAGED_URL') },
  hook: { ...fleet, state: secret('RIGHT_URL'), alerts: { oncall: { slack: 'no-url-of-slack-${word}' } } },
} });
`,
    'pipelines/.keep': '',
  });
});
afterAll(async () => {
  project[Symbol.dispose]();
  await state[Symbol.asyncDispose]();
});

function wrongPassword(): string {
  const url = new URL(state.url);
  url.password = word;
  return url.href;
}

test.each<[role: 'worker' | 'scheduler', env: string, code: string]>([
  ['worker', 'secret', 'AUTHENTICATION_FAILED'],
  ['scheduler', 'written', 'AUTHENTICATION_FAILED'],
  ['worker', 'away', 'STATE_UNAVAILABLE'],
  ['worker', 'redis', 'CONNECTION_FAILED'],
  ['scheduler', 'hook', 'CONFIG_INVALID'],
])('a %s in the environment "%s" ends with %s and shows no password', async (role, environment, code) => {
  const env = { STATE_URL: wrongPassword(), RIGHT_URL: state.url, REDIS_URL: `redis://someone:${word}@127.0.0.1:1` };
  const ended = await millrace([role, '--env', environment, '--json', '--debug'], { cwd: project.root, env });
  expect(ended.stdout).toContain(`"code":"${code}"`);
  expect(`${ended.stdout}${ended.stderr}`).not.toContain(word);
  expect(ended.code).not.toBe(0);
});

test('the state database may be logged in to by a secret of RDS', async () => {
  const { host, pathname, username, password } = new URL(state.url);
  const env = { MANAGED_URL: `postgres://${host}${pathname}?login=STATE_LOGIN`, STATE_LOGIN: JSON.stringify({ username, password }) };
  const ended = await millrace(['doctor', '--env', 'managed', '--json'], { cwd: project.root, env });
  expect(ended.stdout).toMatch(/"subject":"state database","level":"ok"/);
  expect(await millrace(['runs', 'list', '--env', 'managed'], { cwd: project.root, env })).toMatchObject({ code: 0 });
});

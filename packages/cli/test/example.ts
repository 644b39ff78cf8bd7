import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { type CommandResult, millrace, type RunningCommand, startMillrace } from './command.ts';

export interface Example {
  /** Of the secrets that name databases; a new one for each test. */
  readonly databases: Readonly<Record<string, TestDatabase>>;
  run(...args: string[]): Promise<CommandResult>;
  /** The same, where nothing but success will do. @throws with everything the command has said */
  must(...args: string[]): Promise<CommandResult>;
  start(...args: string[]): RunningCommand;
}

/** The example of a test file, with databases of the test's own behind its secrets: `example(import.meta.url, ['SHOP_URL'])`. */
export function example(testFile: string, secrets: readonly string[], more: () => Readonly<Record<string, string>> = () => ({})): Example {
  // A test starts several processes one after the other, on machines that are busy.
  vi.setConfig({ testTimeout: 180_000 });
  const cwd = fileURLToPath(new URL('.', testFile));
  const databases: Record<string, TestDatabase> = {};
  let state: TestDatabase;
  beforeAll(async () => {
    state = await testDatabase();
  });
  afterAll(() => state[Symbol.asyncDispose]());
  beforeEach(async () => {
    for (const secret of secrets) databases[secret] = await testDatabase();
  });
  afterEach(async () => {
    for (const database of Object.values(databases)) await database[Symbol.asyncDispose]();
  });
  const options = () => ({
    cwd,
    env: {
      ...Object.fromEntries(Object.entries(databases).map(([secret, { url }]) => [secret, url])),
      ...more(),
      MILLRACE_STATE_URL: state.url,
    },
  });
  const run = (...args: string[]) => millrace(args, options());
  const must = async (...args: string[]) => {
    const result = await run(...args);
    if (result.code === 0) return result;
    throw new Error(`millrace ${args.join(' ')} ended with ${result.code ?? result.signal}:\n${result.stdout}\n${result.stderr}`);
  };
  return { databases, run, must, start: (...args) => startMillrace(args, options()) };
}

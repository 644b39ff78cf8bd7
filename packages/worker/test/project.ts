import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { testDatabase } from '../../../test/postgres.ts';
import { localExecutor } from '../src/local/local-executor.ts';
import type { LocalExecutor, LocalOptions } from '../src/local/options.ts';

/** A project directory with a pipeline file, a state database, and another database to load into. */
export interface TestProject extends AsyncDisposable {
  readonly directory: string;
  readonly state: string;
  readonly target: string;
  /** Writes a pipeline file; `body` sees everything of the fixtures and of the core. */
  pipeline(name: string, body: string): string;
  /** Lets through what waits for this gate, see `gate`. */
  open(name: string): void;
  executor(options?: Partial<LocalOptions>): Promise<LocalExecutor>;
  /** What was loaded. */
  rows(target?: string): Promise<number[]>;
  calls(): Promise<string[]>;
  /** What the service of `ledgerWork` has been asked to do. */
  works(): Promise<readonly { readonly step: string; readonly request: string; readonly at: 'running' | 'ended' | 'stopped' }[]>;
  /** Whatever the service does is done now. */
  endWorks(): Promise<void>;
  /** Splits that wait for a commit. */
  staged(): Promise<number>;
}

/** A function for `each` that waits until its gate is opened: a stage that runs as long as a test wants. */
export const gate = (name: string): string => `async () => { while (!existsSync('${name}.open')) await sleep(20); }`;

const fixtures = fileURLToPath(new URL('./fixtures/ledger.ts', import.meta.url));

export async function testProject(): Promise<TestProject> {
  const state = await testDatabase();
  const target = await testDatabase();
  const directory = mkdtempSync(join(tmpdir(), 'millrace-project-'));
  symlinkSync(fileURLToPath(new URL('../node_modules', import.meta.url)), join(directory, 'node_modules'));
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(directory, '.env'), `LEDGER_URL=${target.url}\n`);
  const executors: LocalExecutor[] = [];
  const ask = async (text: string): Promise<Record<string, unknown>[]> => {
    const client = new pg.Client({ connectionString: target.url });
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } catch (error) {
      if ((error as { code?: string }).code === '42P01') return [];
      throw error;
    } finally {
      await client.end();
    }
  };
  return {
    directory,
    state: state.url,
    target: target.url,
    pipeline(name, body) {
      const file = join(directory, `${name}.ts`);
      writeFileSync(
        file,
        `import { existsSync } from 'node:fs';\nimport { setTimeout as sleep } from 'node:timers/promises';\nimport { extract, load, pipeline } from '@millrace/core';\nimport { each, ledgerCall, ledgerTarget, ledgerWork, numbersOf } from ${JSON.stringify(fixtures)};\n${body}\n`,
      );
      return file;
    },
    open: (name) => writeFileSync(join(directory, `${name}.open`), ''),
    async executor(options = {}) {
      const executor = await localExecutor({ state: state.url, directory, graceMs: 2_000, ...options });
      executors.push(executor);
      return executor;
    },
    rows: async (name = 'out') => (await ask(`select n from ledger_rows where target = '${name}' order by n`)).map(({ n }) => n as number),
    works: async () =>
      (await ask(`select step, request, case when stopped_at is not null then 'stopped' when ends_at <= clock_timestamp() then 'ended'
        else 'running' end as at from ledger_works order by id`)) as never,
    endWorks: async () => void (await ask('update ledger_works set ends_at = clock_timestamp() where ends_at > clock_timestamp()')),
    staged: async () => Number((await ask('select count(distinct split) as splits from ledger_staged'))[0]?.['splits'] ?? 0),
    calls: async () => (await ask('select step from ledger_done order by step')).map(({ step }) => step as string),
    async [Symbol.asyncDispose]() {
      for (const executor of executors) await executor[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
      await state[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    },
  };
}

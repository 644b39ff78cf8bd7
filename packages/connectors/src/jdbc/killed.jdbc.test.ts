import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundled } from '../../../../test/bundle.ts';
import type { JdbcDatabase } from '../../../../test/jdbc.ts';
import { jdbcEngines, missingEngine } from '../../../../test/jdbc-engines.ts';
import { jdbcFailpoints } from './index.ts';

if (missingEngine !== null) test.skip(missingEngine);

let program: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  program = await bundled(new URL('../../test/jdbc-once.ts', import.meta.url));
  // Where a package that was built has it.
  const classes = join(dirname(program.file), '..', 'java');
  if (!existsSync(classes)) symlinkSync(fileURLToPath(new URL('../../dist/java', import.meta.url)), classes);
});
afterAll(() => program[Symbol.asyncDispose]());

/** Processes of Java that were started with an option. */
const alive = (option: string) =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(option);
    } catch {
      return false; // it has just ended
    }
  });

describe.each(jdbcEngines.map((engine, at) => ({ ...engine, mode: at % 2 === 0 ? 'append' : 'replace' })))('$name', ({ open, mode }) => {
  let database: JdbcDatabase;
  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  test(`a load (${mode}) that is killed at every instant is there once, and no Java is left`, async () => {
    await database.sql(`CREATE TABLE killed_${mode} (id INTEGER NOT NULL, n INTEGER NOT NULL)`);
    if (mode === 'replace') await database.sql('INSERT INTO killed_replace VALUES (7, 7)');
    const mark = `-Dkilled=${randomUUID()}`;
    const { url, user, password, jar } = database;
    const connection = { url, user, password, drivers: [jar], native: false, java: { args: [mark] } };
    let epoch = 0;
    const attempt = async (failpoint: string) => {
      const child = spawn(process.execPath, [program.file, JSON.stringify({ connection, mode, epoch: ++epoch })], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, MILLRACE_FAILPOINT: failpoint },
      });
      const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
      return signal ?? code;
    };
    for (const failpoint of jdbcFailpoints) {
      expect(await attempt(failpoint)).toBe('SIGKILL');
      if (failpoint !== 'jdbc.load.committed')
        expect(await database.sql(`SELECT n FROM killed_${mode}`)).toEqual(mode === 'replace' ? [['7']] : []);
    }
    expect(await attempt('none')).toBe(0);
    expect(await database.sql(`SELECT n FROM killed_${mode} ORDER BY n`)).toEqual([['1'], ['2'], ['3'], ['4'], ['5']]);
    expect(
      await database.sql("SELECT table_name FROM information_schema.tables WHERE LOWER(table_name) LIKE 'millrace_s!_%' ESCAPE '!'"),
    ).toEqual([]);
    for (let left = 100; alive(mark).length > 0 && left > 0; left--) await sleep(100);
    expect(alive(mark)).toEqual([]);
  }, 120_000);
});

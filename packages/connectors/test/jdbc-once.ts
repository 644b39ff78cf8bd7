/** One load through JDBC in a process of its own, for tests that kill it: its argument is JSON. */
import { int4, table } from '@millrace/core';
import { testContext as freshContext } from '@millrace/core/testing';
import { type JdbcOptions, jdbc } from '../src/jdbc/index.ts';
import { loadRows } from './load.ts';

const { connection, epoch, mode } = JSON.parse(process.argv[2] ?? '{}') as {
  connection: JdbcOptions;
  epoch: number;
  mode: 'append' | 'merge' | 'replace';
};
const killed = table(`killed_${mode}`, { id: int4(), n: int4() }, { key: ['id'] });
const row = (id: number) => ({ id, n: id });

loadRows(jdbc(connection).table(killed, { mode }), {
  epoch,
  key: `run-1/${mode}`,
  id: `load-${mode}`,
  step: mode,
  window: { column: 'n', low: null, high: '6' },
  splits: [
    [row(1), row(2), row(3)],
    [row(4), row(5)],
  ],
  context: freshContext(),
}).then(
  ({ rows }) => process.stdout.write(`${rows}\n`),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exitCode = 1;
  },
);

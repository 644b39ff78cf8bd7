/**
 * One load in a process of its own, for tests that kill it: `tsx load-once.ts '{"url": …}'` with MILLRACE_FAILPOINT set.
 * Prints the receipt.
 */
import { int8, table, text } from '@millrace/core';
import { postgres } from '../src/postgres/index.ts';
import { tableTarget } from '../src/postgres/sink/table-target.ts';
import { loadRows, testContext } from './load.ts';

export const people = table('people', { id: int8(), name: text(), note: text().orNull() }, { key: ['id'] });

export interface Errand {
  readonly url: string;
  readonly mode: 'append' | 'merge' | 'replace' | 'history';
  readonly schema: 'create' | 'evolve' | 'strict';
  readonly parallel: boolean;
  readonly id: string;
  readonly epoch: number;
  readonly logicalTime: string;
  /** Ids in each split; names follow from `version`. */
  readonly splits: readonly (readonly number[])[];
  readonly version: string;
}

export function runErrand({ url, mode, schema, splits, version, logicalTime, ...spec }: Errand) {
  const target = tableTarget({ settings: { url }, connector: 'postgres', label: 'test' }, people, { mode, schema });
  const rows = splits.map((ids) => ids.map((id) => ({ id: BigInt(id), name: `${id}${id % 2 ? version : ''}`, note: null })));
  return loadRows(target, { ...spec, runAt: logicalTime, splits: rows, context: testContext(logicalTime) });
}

/** One statement that counts how often it ran. */
export interface SqlErrand {
  readonly url: string;
  readonly statement: string;
  readonly epoch: number;
}

export const runStatement = ({ url, statement, epoch }: SqlErrand) =>
  postgres({ url })
    .sql()
    .execute(
      { id: 'counted', fence: { key: 'run/sql', epoch }, statements: [{ text: statement, values: [] }], transaction: true },
      testContext(),
    );

if (process.argv[2]?.startsWith('{')) {
  const errand = JSON.parse(process.argv[2]) as Errand | SqlErrand;
  console.log(JSON.stringify(await ('statement' in errand ? runStatement(errand) : runErrand(errand))));
}

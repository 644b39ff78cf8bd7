import type { Random } from '../random.ts';

/** A step of a random DAG: what it waits for, and how it behaves. */
export interface FleetStep {
  readonly name: string;
  readonly after: readonly string[];
  readonly milliseconds: number;
  /** Attempts that fail before one succeeds. */
  readonly failures: number;
  readonly pool: boolean;
  /** A statement of the target, rows of many splits, which any worker may stage, or work of a service. */
  readonly does: 'statement' | 'load' | 'work';
}

export interface FleetDag {
  readonly pipeline: string;
  readonly steps: readonly FleetStep[];
  readonly concurrency: number;
}

/** Chains, diamonds, joins: each step waits for up to three earlier ones. */
export function randomDag(pipeline: string, dice: Random): FleetDag {
  const count = dice.between(3, 10);
  const steps: FleetStep[] = [];
  for (let at = 0; at < count; at++) {
    const after = new Set<string>();
    for (let wanted = at === 0 ? 0 : dice.between(0, 3); wanted > 0; wanted--) after.add(dice.pick(steps).name);
    steps.push({
      name: `s${at}`,
      after: [...after],
      milliseconds: dice.pick([0, 0, 50, 300]),
      failures: dice.pick([0, 0, 0, 1, 2]),
      pool: dice.between(1, 3) === 1,
      does: dice.pick(['statement', 'statement', 'load', 'work']),
    });
  }
  return { pipeline, steps, concurrency: dice.between(1, 2) };
}

/** Rows of the source that loads read, in some eight splits. */
export const sourceRows = 200;

/**
 * What every step leaves, once for each run; and what fails now and then: a sequence forgets nothing with a rollback. A load leaves all
 * rows of the source once for each run, in a table of its own.
 */
export const effectsSql = `create table source (id int8 primary key, filler text not null) with (autovacuum_enabled = off);
insert into source select n, repeat('x', 300) from generate_series(1, ${sourceRows}) n;
analyze source;
create table effect (run text, step text, at timestamptz not null default clock_timestamp());
create function failing(called text, times int) returns void language plpgsql as $$
begin
  if nextval(called::regclass) % (times + 1) <> 0 then raise exception 'fails at first' using errcode = '40001'; end if;
end $$;`;

const sequence = ({ pipeline }: FleetDag, { name }: FleetStep): string => `calls_${pipeline.replaceAll('-', '_')}_${name}`;

export const tableOf = (pipeline: string, step: string): string => `rows_${pipeline.replaceAll('-', '_')}_${step}`;

export const sequencesSql = (dag: FleetDag): string => dag.steps.map((step) => `create sequence ${sequence(dag, step)};`).join('\n');

/** The pipeline file. */
export function pipelineSource(dag: FleetDag): string {
  const { pipeline, steps, concurrency } = dag;
  const lines = steps.map((step) => ({ statement: statementLine, load: loadLines, work: workLine })[step.does](dag, step));
  const names = steps.flatMap(({ name, does }) => (does === 'load' ? [`${name}_rows`, `${name}_slow`, name] : [name]));
  return `import { postgres } from '@millrace/connectors/postgres';
import { extract, int8, load, pipeline, run, secret, table, text } from '@millrace/core';
import { map, sql } from '@millrace/transforms';
import { work } from '../service.js';

const target = postgres({ url: secret('TARGET_URL') });
const source = table('source', { id: int8(), filler: text() }, { key: ['id'] });
// Blocks, as a function may that computes. From its text, which is a part of the version: loaders print what they parse each in their own way.
const slowly = (0, eval)('(row) => (row.id % 30n === 0n && Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20), { id: row.id })');
${lines.join('\n')}

export default pipeline({
  name: '${pipeline}', concurrency: ${concurrency},
  steps: { ${names.join(', ')} },
});
`;
}

const optionsOf = ({ after, pool }: FleetStep): string =>
  [
    ...(after.length > 0 ? [`after: [${after.join(', ')}]`] : []),
    "retry: { attempts: 20, delay: '50ms', maxDelay: '500ms' }",
    ...(pool ? ["pool: 'narrow'"] : []),
  ].join(', ');

function statementLine(dag: FleetDag, step: FleetStep): string {
  const { name, milliseconds, failures } = step;
  const statements = [
    ...(milliseconds > 0 ? [`'select pg_sleep(${milliseconds / 1000})'`] : []),
    `{ text: 'insert into effect (run, step) values ($1, $2)', values: [run.id, '${name}'] }`,
    // Last, so that what came before it must be undone.
    ...(failures > 0 ? [`"select failing('${sequence(dag, step)}', ${failures})"`] : []),
  ];
  return `const ${name} = sql(target, [${statements.join(', ')}], { ${optionsOf(step)} });`;
}

/** It takes its time, and fails as often as a statement would: interrupted at the service, and started anew. */
function workLine(_: FleetDag, step: FleetStep): string {
  const { name, milliseconds, failures } = step;
  return `const ${name} = work('${name}', ${milliseconds * 4 + 200}, ${failures}, { ${optionsOf(step)} });`;
}

function loadLines({ pipeline }: FleetDag, step: FleetStep): string {
  const { name } = step;
  return `const ${name}_table = table('${tableOf(pipeline, name)}', { id: int8() });
const ${name}_rows = extract(target, source, { splitBytes: 8192 });
const ${name}_slow = map(${name}_rows, { to: ${name}_table, row: slowly });
const ${name} = load(${name}_slow, target.table(${name}_table, { mode: 'append', schema: 'create' }), { ${optionsOf(step)} });`;
}

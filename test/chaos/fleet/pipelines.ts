import type { Random } from '../random.ts';

/** A step of a random DAG: what it waits for, and how it behaves. */
export interface FleetStep {
  readonly name: string;
  readonly after: readonly string[];
  readonly milliseconds: number;
  /** Attempts that fail before one succeeds. */
  readonly failures: number;
  readonly pool: boolean;
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
    });
  }
  return { pipeline, steps, concurrency: dice.between(1, 2) };
}

/** What every step leaves, once for each run; and what fails now and then: a sequence forgets nothing with a rollback. */
export const effectsSql = `create table effect (run text, step text, at timestamptz not null default clock_timestamp());
create function failing(called text, times int) returns void language plpgsql as $$
begin
  if nextval(called::regclass) % (times + 1) <> 0 then raise exception 'fails at first' using errcode = '40001'; end if;
end $$;`;

const sequence = ({ pipeline }: FleetDag, { name }: FleetStep): string => `calls_${pipeline.replaceAll('-', '_')}_${name}`;

export const sequencesSql = (dag: FleetDag): string => dag.steps.map((step) => `create sequence ${sequence(dag, step)};`).join('\n');

/** The pipeline file. */
export function pipelineSource(dag: FleetDag): string {
  const { pipeline, steps, concurrency } = dag;
  const lines = steps.map((step) => {
    const { name, after, milliseconds, failures, pool } = step;
    const options = [
      ...(after.length > 0 ? [`after: [${after.join(', ')}]`] : []),
      "retry: { attempts: 20, delay: '50ms', maxDelay: '500ms' }",
      ...(pool ? ["pool: 'narrow'"] : []),
    ];
    const statements = [
      ...(milliseconds > 0 ? [`'select pg_sleep(${milliseconds / 1000})'`] : []),
      `{ text: 'insert into effect (run, step) values ($1, $2)', values: [run.id, '${name}'] }`,
      // Last, so that what came before it must be undone.
      ...(failures > 0 ? [`"select failing('${sequence(dag, step)}', ${failures})"`] : []),
    ];
    return `const ${name} = sql(target, [${statements.join(', ')}], { ${options.join(', ')} });`;
  });
  return `import { postgres } from '@millrace/connectors/postgres';
import { pipeline, run, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

const target = postgres({ url: secret('TARGET_URL') });
${lines.join('\n')}

export default pipeline({
  name: '${pipeline}', concurrency: ${concurrency},
  steps: { ${steps.map(({ name }) => name).join(', ')} },
});
`;
}

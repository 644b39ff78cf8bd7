import { type TestProject, testProject } from './project.ts';

/** Longer than a heartbeat may take on a busy machine, short enough to be waited for. */
export const leaseMs = 6_000;
export const orders = 2_000;
/** Stages of the pipeline `many` that wait for nothing. */
export const width = 12;

const config = `import { defineConfig, secret } from '@millrace/core';
export default defineConfig({
  pipelines: 'pipelines/*.ts',
  environments: {
    prod: {
      secrets: ['env'], state: secret('STATE_URL'), executor: 'fleet', concurrency: 1, pools: { narrow: 1 },
      fleet: { lease: '${leaseMs}ms', drain: '1s', dispatch: { redis: secret('REDIS_URL') } },
    },
  },
});
`;

const ends = `import { postgres } from '@millrace/connectors/postgres';
import { run, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

export const shop = postgres({ url: secret('SHOP_URL'), maxConnections: 4 });
export const warehouse = postgres({ url: secret('WAREHOUSE_URL') });
export const retry = { attempts: 20, delay: '50ms', maxDelay: '500ms' };
/** Notes its name for its run: twice where it is done twice. */
export const noted = (step, after = [], more = {}) =>
  sql(
    warehouse,
    [...(more.first ?? []), { text: 'insert into note (run, step) values ($1, $2)', values: [run.id, step] }, ...(more.last ?? [])],
    { after, retry: more.retry ?? retry },
  );
`;

/** Everything here is added, so that whatever is done twice is there twice. */
const nightly = `import { extract, int8, load, pipeline, table, text } from '@millrace/core';
import { noted, retry, shop, warehouse } from '../ends.ts';

const orders = table('public.orders', { id: int8(), note: text() }, { key: ['id'] });
const rows = extract(shop, orders, { pool: 'narrow' });
const loaded = load(rows, warehouse.table(orders, { mode: 'append' }), { retry });
const left = noted('left', [loaded]);
const right = noted('right', [loaded]);
const joined = noted('joined', [left, right]);

export default pipeline({ name: 'nightly', steps: { rows, loaded, left, right, joined } });
`;

const many = `import { pipeline } from '@millrace/core';
import { noted } from '../ends.ts';

const side = Array.from({ length: ${width} }, (_, at) => noted(\`s\${at}\`, [], { first: ['select gate(1)'] }));
const joined = noted('joined', side);

export default pipeline({ name: 'many', steps: { ...Object.fromEntries(side.map((step, at) => [\`s\${at}\`, step])), joined } });
`;

/** Fails at first, after what it has noted. */
const failing = `import { pipeline } from '@millrace/core';
import { noted } from '../ends.ts';

const again = noted('again', [], { last: ['select failing()'], retry: { attempts: 2, delay: '2s', maxDelay: '2s' } });

export default pipeline({ name: 'failing', steps: { again } });
`;

const minutely = `import { cron, pipeline } from '@millrace/core';
import { noted } from '../ends.ts';

const done = noted('done');

export default pipeline({
  name: 'minutely', runs: cron('* * * * *', 'UTC', { catchUp: 'all', overlap: 'allow' }), concurrency: 4, steps: { done },
});
`;

/** A mirror hides what is applied twice; a history does not. */
const bank = `import { capture, continuous, int8, load, pipeline, table } from '@millrace/core';
import { shop, warehouse } from '../ends.ts';

const accounts = table('public.accounts', { id: int8(), balance: int8() }, { key: ['id'] });
const moves = table('public.moves', { id: int8(), account: int8(), amount: int8() }, { key: ['id'] });
const changes = capture(shop, { tables: { accounts, moves } });
const mirrored = load(changes, warehouse.apply({ schema: 'mirror' }));
const logged = load(changes, warehouse.apply({ schema: 'log', mode: 'history' }));

export default pipeline({ name: 'bank', runs: continuous, steps: { changes, mirrored, logged } });
`;

/** Puts the clock of a process wrong, by CLOCK_SKEW milliseconds, and notes which programs it has done so to. */
const clock = `import { appendFileSync } from 'node:fs';

const skew = Number(process.env.CLOCK_SKEW);
const Right = Date;
globalThis.Date = class Date extends Right {
  constructor(...given) {
    super(...(given.length === 0 ? [Right.now() + skew] : given));
  }
  static now() {
    return Right.now() + skew;
  }
};
const origin = performance.timeOrigin;
Object.defineProperty(performance, 'timeOrigin', { get: () => origin + skew });
appendFileSync(new URL('./skewed', import.meta.url), \`\${skew} \${process.argv[1]}\\n\`);
`;

export const faultsProject = (): TestProject =>
  testProject({
    'millrace.config.ts': config,
    'ends.ts': ends,
    'clock.mjs': clock,
    'pipelines/nightly.ts': nightly,
    'pipelines/many.ts': many,
    'pipelines/failing.ts': failing,
    'pipelines/minutely.ts': minutely,
    'pipelines/bank.ts': bank,
  });

/** What passes waits for a lock that only a test takes. */
export const gateKey = 4711;
const gateSql = `create function gate(passing anyelement) returns anyelement language plpgsql as $$
begin
  perform pg_advisory_lock_shared(${gateKey});
  perform pg_advisory_unlock_shared(${gateKey});
  return passing;
end $$;`;

/** The row in the middle comes through the gate. */
export const shopSql = `${gateSql}
create table public.kept (id int8 primary key, note text not null);
insert into public.kept select n, repeat('x', 50) from generate_series(1, ${orders}) n;
create view public.orders as select id, case when id = ${orders / 2} then gate(note) else note end as note from public.kept;
create table public.accounts (id int8 primary key, balance int8 not null);
insert into public.accounts select n, 0 from generate_series(1, 10) n;
create table public.moves (id int8 generated always as identity primary key, account int8 not null, amount int8 not null);`;

/** The commit of a load comes through the gate. */
export const warehouseSql = `${gateSql}
create table public.orders (id int8 not null, note text not null);
create function at_commit() returns trigger language plpgsql as $$ begin perform gate(1); return null; end $$;
create constraint trigger at_commit after insert on public.orders deferrable initially deferred for each row when (new.id = 1) execute function at_commit();
create table public.note (run text not null, step text not null, at timestamptz not null default clock_timestamp());
create sequence calls;
create function failing() returns void language plpgsql as $$
begin
  if nextval('calls') = 1 then raise exception 'fails at first' using errcode = '40001'; end if;
end $$;`;

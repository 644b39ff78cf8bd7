/*
 * A service for work elsewhere, in the target's database: it begins one work for each token, throttles now and then, and interrupts some.
 * It is asked in SQL from the processes of the fleet, as a service is asked over the network.
 */

/** Its state, and its calls. A sequence forgets nothing with a rollback. */
export const serviceSql = `create table work (
  id int8 generated always as identity primary key, token text not null unique, run text not null, step text not null,
  started_at timestamptz not null default clock_timestamp(), ends_at timestamptz not null, again bool not null, stopped_at timestamptz);
create sequence service_calls;
create function throttle() returns void language plpgsql as $$
begin
  if nextval('service_calls') % 7 = 0 then raise exception 'Rate exceeded'; end if;
end $$;
create function start_work(of_token text, of_run text, of_step text, milliseconds int, interruptions int) returns int8 language plpgsql as $$
begin
  perform throttle();
  insert into work (token, run, step, ends_at, again) values (of_token, of_run, of_step, clock_timestamp() + milliseconds * interval '1 ms',
    (select count(*) from work where run = of_run and step = of_step) < interruptions) on conflict (token) do nothing;
  return (select id from work where token = of_token);
end $$;
create function look_at_work(of_id int8) returns text language plpgsql as $$
begin
  perform throttle();
  return (select case when stopped_at is not null then 'stopped' when ends_at > clock_timestamp() then 'running' when again then 'interrupted'
    else 'done' end from work where id = of_id);
end $$;`;

/** A module of the project: `work('s3', 300, 1, { after: […] })`. */
export const serviceSource = `import { MillraceError, remote, run } from '@millrace/core';
import pg from 'pg';

async function ask(context, text, values) {
  const client = new pg.Client({ connectionString: await context.secret({ kind: 'secret', name: 'TARGET_URL' }), application_name: 'millrace service' });
  client.on('error', () => {});
  try {
    await client.connect();
    return (await client.query(text, values)).rows[0];
  } catch (error) {
    const code = error.message === 'Rate exceeded' ? 'REMOTE_THROTTLED' : 'REMOTE_UNAVAILABLE';
    throw new MillraceError(code, { message: error.message, remedy: 'Nothing to do.', cause: error });
  } finally {
    await client.end().catch(() => {});
  }
}

const handleOf = (row) => (row?.id ? { id: row.id, link: null, detail: {} } : null);
const states = {
  running: { at: 'running', status: 'RUNNING', progress: null },
  interrupted: { at: 'failed', reason: 'no capacity', again: true },
  stopped: { at: 'failed', reason: 'it was stopped', again: true },
  done: { at: 'succeeded', output: {} },
};

export function work(step, milliseconds, interruptions, options) {
  const description = {
    service: 'chaos', action: 'StartWork', label: 'Work ' + step, region: null, starts: 'once', watched: true, pollMs: 100, facts: {},
  };
  const task = {
    description,
    start: async ({ id, parameters: { Run } }, context) =>
      handleOf(await ask(context, 'select start_work($1, $2, $3, $4, $5) as id', [id, Run, step, milliseconds, interruptions])),
    adopt: async ({ id }, context) => handleOf(await ask(context, 'select id from work where token = $1', [id])),
    poll: async ({ id }, context) => states[(await ask(context, 'select look_at_work($1) as at', [id])).at],
    cancel: async ({ id }, context) =>
      void (await ask(context, 'update work set stopped_at = clock_timestamp() where id = $1 and ends_at > clock_timestamp()', [id])),
  };
  return remote(task, { Run: run.id }, options);
}
`;

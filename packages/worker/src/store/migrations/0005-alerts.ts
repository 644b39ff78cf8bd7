/** Who has been told of what, up to where was looked, and where traces of attempts are. */
export const alerts = {
  name: '0005-alerts',
  sql: `
create table alert (
  id int8 generated always as identity primary key,
  cause text not null,
  target text not null,
  kind text not null,
  pipeline text not null,
  run text,
  body json not null,
  since timestamptz not null,
  raised_at timestamptz not null default clock_timestamp(),
  over_at timestamptz,
  at text not null,
  tries int not null default 0,
  next_at timestamptz not null default clock_timestamp(),
  sent_at timestamptz,
  error text,
  unique (cause, target)
);
create index alert_open on alert (target, next_at) where at = 'open';
create index alert_trouble on alert (target, pipeline) where over_at is null and kind in ('failed', 'late');
create index alert_since on alert (since);

create table look (
  name text primary key,
  since timestamptz not null default clock_timestamp(),
  done_to timestamptz not null default clock_timestamp(),
  looked_at timestamptz not null default '-infinity'
);

create index run_event_end on run_event (at) where type in ('run.succeeded', 'run.partial', 'run.failed');

create table trace (
  run text not null references run on delete cascade,
  stage text not null,
  epoch int not null,
  traceparent text not null,
  primary key (run, stage, epoch)
);
`,
} as const;

/** Runs, their stages and attempts, the log of events, wake-ups, workers. */
export const runs = {
  name: '0001-runs',
  sql: `
create table plan (
  fingerprint text primary key,
  pipeline text not null,
  body json not null
);

create table run (
  id text primary key,
  pipeline text not null,
  fingerprint text not null references plan,
  request json not null,
  queue text,
  at text not null,
  state json not null,
  cancel_requested_at timestamptz,
  idempotency_key text,
  created_at timestamptz not null,
  seq int not null default 0,
  unique (pipeline, idempotency_key)
);
create index run_active on run (queue) where at in ('queued', 'running');
create index run_of_pipeline on run (pipeline, id);

create table stage (
  run text not null references run on delete cascade,
  id text not null,
  ordinal int not null,
  at text not null,
  state json not null,
  epoch int not null default 0,
  attempts int not null default 0,
  losses int not null default 0,
  redone int not null default 0,
  ready_at timestamptz,
  retry_at timestamptz,
  worker text,
  lease_until timestamptz,
  progress json,
  read_plan json,
  rows int8,
  primary key (run, id)
);
create index stage_open on stage (at) where at in ('ready', 'running', 'retrying');

create table attempt (
  run text not null references run on delete cascade,
  stage text not null,
  epoch int not null,
  attempt int not null,
  worker text not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  result text not null,
  error json,
  primary key (run, stage, epoch)
);

create table part (
  run text not null references run on delete cascade,
  stage text not null,
  split text not null,
  part json not null,
  primary key (run, stage, split)
);

create table run_event (
  run text not null references run on delete cascade,
  seq int not null,
  at timestamptz not null,
  type text not null,
  body json not null,
  primary key (run, seq)
);

create table outbox (
  id int8 generated always as identity primary key,
  queue text not null,
  run text not null references run on delete cascade,
  stage text
);
create index outbox_of_queue on outbox (queue, id);

create table worker (
  id text primary key,
  label text not null,
  lease_ms int not null,
  lock_key int generated always as identity,
  started_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp()
);

create table log (
  id int8 generated always as identity primary key,
  run text not null references run on delete cascade,
  stage text not null,
  epoch int not null,
  at timestamptz not null,
  level text not null,
  message text not null,
  facts json not null
);
create index log_of_run on log (run, id);
`,
} as const;

/** Schedules, the ticks that make runs, backfills. */
export const schedules = {
  name: '0004-schedules',
  sql: `
create table schedule (
  pipeline text primary key,
  fingerprint text,
  definition json not null,
  paused boolean not null default false,
  evaluated_at timestamptz not null,
  next_at timestamptz,
  since timestamptz not null,
  served_at timestamptz not null
);

create table tick (
  pipeline text not null,
  key text not null,
  ordinal int8 generated always as identity,
  cause text not null,
  logical_time timestamptz not null,
  window_start timestamptz,
  window_end timestamptz,
  params json not null,
  on_time boolean not null,
  state text not null,
  because text,
  run text,
  made_at timestamptz not null default clock_timestamp(),
  primary key (pipeline, key)
);
create index tick_open on tick (pipeline, ordinal) where state in ('waiting', 'launching');
create index tick_made on tick (pipeline, ordinal);
create index tick_of_run on tick (run);
create index run_succeeded on run (pipeline, (state->>'since')) where at = 'succeeded';

create table backfill (
  id text primary key,
  pipeline text not null,
  range json not null,
  direction text not null,
  max_parallel int not null,
  params json not null,
  full_refresh boolean not null,
  state text not null default 'running',
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
create index backfill_open on backfill (pipeline) where state in ('running', 'cancelling');

create table backfill_item (
  backfill text not null references backfill on delete cascade,
  ordinal int not null,
  logical_time timestamptz not null,
  window_start timestamptz not null,
  window_end timestamptz not null,
  state text not null default 'pending',
  run text,
  attempt int not null default 1,
  because text,
  primary key (backfill, ordinal),
  unique (backfill, logical_time)
);
create index backfill_item_open on backfill_item (backfill, ordinal) where state in ('pending', 'launching', 'running');
`,
} as const;

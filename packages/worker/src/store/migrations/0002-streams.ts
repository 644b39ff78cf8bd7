/** Where streams were last, whoever follows them, and what is asked of them. */
export const streams = {
  name: '0002-streams',
  sql: `
create table stream (
  pipeline text not null,
  step text not null,
  at timestamptz not null,
  progress json not null,
  primary key (pipeline, step)
);

create table stream_request (
  id text primary key default gen_random_uuid()::text,
  ordinal int8 generated always as identity,
  pipeline text not null,
  step text not null,
  kind text not null,
  tables json not null,
  requested_at timestamptz not null default clock_timestamp(),
  answered_at timestamptz,
  error json
);
create index stream_request_open on stream_request (pipeline, step, ordinal) where answered_at is null;
`,
} as const;

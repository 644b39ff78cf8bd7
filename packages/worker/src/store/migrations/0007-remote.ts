/** Work that services do for stages, and who looks at it when. */
export const remote = {
  name: '0007-remote',
  sql: `
alter table stage add column settled int not null default 0;
create index stage_elsewhere on stage (run) where at = 'elsewhere';

create table remote (
  run text not null,
  stage text not null,
  work int not null,
  -- what its request is called at the service; null where nobody was about to start it
  request text,
  handle json,
  started_at timestamptz,
  look int not null default 0,
  looker text,
  look_until timestamptz,
  looked_at timestamptz,
  next_at timestamptz,
  status text,
  progress float8,
  ending_at timestamptz,
  -- the last look knew that the run is to be cancelled
  aware bool,
  primary key (run, stage),
  foreign key (run, stage) references stage on delete cascade
);
`,
} as const;

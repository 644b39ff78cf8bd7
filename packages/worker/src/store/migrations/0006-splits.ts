/** Splits of running stages that several workers stage, and who helps. */
export const splits = {
  name: '0006-splits',
  sql: `
create table split (
  run text not null,
  stage text not null,
  split text not null,
  epoch int not null,
  ordinal int not null,
  claims int not null default 0,
  -- null: nobody; 0: the attempt itself
  share int8,
  staged bool not null default false,
  primary key (run, stage, split),
  foreign key (run, stage) references stage on delete cascade
);
create index split_open on split (run, stage, ordinal) where not staged;

create table share (
  id int8 generated always as identity primary key,
  run text not null,
  stage text not null,
  epoch int not null,
  worker text not null,
  lease_until timestamptz not null,
  grants json not null,
  foreign key (run, stage) references stage on delete cascade
);
create index share_of_stage on share (run, stage);
`,
} as const;

/** Runs in the order in which they were made: names of executions do not sort so. */
export const newest = {
  name: '0008-newest',
  sql: `
create index run_newest on run (created_at, id);
create index run_of_pipeline_newest on run (pipeline, created_at, id);
`,
} as const;

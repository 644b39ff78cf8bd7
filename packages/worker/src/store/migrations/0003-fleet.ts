/** Which workers may run what, and what stages take a share of while they run. */
export const fleet = {
  name: '0003-fleet',
  sql: `
alter table worker add column queue text, add column plans text[];
alter table stage add column limits text[];
`,
} as const;

/** Which workers may run what, what stages take a share of while they run, and whose come first. */
export const fleet = {
  name: '0003-fleet',
  sql: `
alter table worker add column queue text, add column plans text[];
alter table stage add column limits text[];
alter table run add column priority text not null default 'normal';
`,
} as const;

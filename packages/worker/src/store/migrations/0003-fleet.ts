/** Which workers may run what. */
export const fleet = {
  name: '0003-fleet',
  sql: `
alter table worker add column queue text, add column plans text[];
`,
} as const;

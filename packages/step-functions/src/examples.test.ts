import { readdirSync } from 'node:fs';
import { compile, followsChanges, type Pipeline } from '@millrace/core/runtime';
import { describe, expect, test } from 'vitest';
import { complaints } from '../test/complaints.ts';
import { interpret } from '../test/interpreter.ts';
import { settings } from '../test/plans.ts';
import { compileStateMachines } from './compile.ts';

/* Every pipeline of the examples: a machine that validators take and that comes to its end, or a refusal where it follows changes. */

const root = new URL('../../../examples/', import.meta.url);
const files = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name }) => readdirSync(new URL(`${name}/`, root)).map((file) => `${name}/${file}`))
  .filter((file) => file.endsWith('.ts') && !/\.test\.ts$|millrace\.config\.ts$/.test(file));

describe.each(files)('%s', (file) => {
  test('compiles to machines without fault, or says why not', async () => {
    const { default: pipeline } = (await import(new URL(file, root).href)) as { readonly default: Pipeline };
    const plan = compile(pipeline);
    if (followsChanges(plan)) return expect(() => compileStateMachines(plan, settings)).toThrow(/follows changes without end/);
    const machines = compileStateMachines(plan, settings);
    expect(await complaints(machines)).toEqual([]);
    const given = {
      time: '2026-03-29T02:00:00Z',
      date: '2026-03-29',
      params: Object.fromEntries(Object.keys(plan.params).map((name) => [name, 'x'])),
    };
    expect((await interpret(machines, () => ({}), given)).error).toBe(null);
  });
});

test('there are examples', () => {
  expect(files.length).toBeGreaterThan(10);
});

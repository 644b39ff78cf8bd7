import { pipeline } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { remotes } from '../../test/everything.ts';
import { planOf, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';
import { templateOf } from '../template/template.ts';
import { machineName, stackName } from './names.ts';

/** The longest that a pipeline may have. */
const longest = `${'nightly-orders_'.repeat(4)}eu1`;

test('the longest name of a pipeline fits into every name that AWS is given', () => {
  expect(pipeline({ name: longest, steps: {} }).name).toHaveLength(63);
  const plan = planOf(
    remotes.map(({ name }) => ({ id: name })),
    { name: longest, steps: remotes, schedule: { kind: 'cron', expression: '0 2 * * *', timeZone: 'UTC' }, params: { country: 'FR' } },
  );
  const machines = compileStateMachines(plan, settings);
  const names = [machines.main, ...machines.others].map(({ name }) => name);
  expect(names.length).toBeGreaterThan(3);
  for (const name of names) expect(name).toMatch(/^millrace-nightly-orders_[\w-]{1,56}$/);
  expect(new Set(names).size).toBe(names.length);
  // Whoever types it or names it in onSuccess() knows it by the pipeline alone.
  expect(names[0]).toBe(`millrace-${longest}`);
  const { Resources } = templateOf(plan, machines, settings);
  const text = JSON.stringify(Resources['MachineRole']);
  for (const name of names) expect(text).toContain(`stateMachine:${name}"`);
  // `<pipeline>-2026-03-29T01-00-00Z` is the name of an execution.
  const starter = JSON.stringify(machines.others.at(-1)?.definition);
  const prefix = /States\.Format\('([^{]+)\{\}/.exec(starter)?.[1] ?? '';
  expect(prefix.length + '2026-03-29T01-00-00Z'.length).toBeLessThanOrEqual(80);
});

test('parts of very many have names of their own, which are not too long', () => {
  for (const suffix of ['-part-7', '-part-123', '-dms-replication', '-starter']) {
    const name = machineName(longest, suffix);
    expect(name.length).toBeLessThanOrEqual(80);
    expect(name).toMatch(new RegExp(`${suffix}$`));
    expect(name).not.toBe(machineName(`${longest.slice(0, -1)}2`, suffix));
  }
});

test('a stack is named after its pipeline, in the letters that CloudFormation takes', () => {
  expect(stackName('nightly-orders')).toBe('millrace-nightly-orders');
  expect(stackName('nightly_orders')).toMatch(/^millrace-nightly-orders-[0-9a-f]{8}$/);
  expect(new Set(['a-b_c', 'a_b-c', 'a_b_c', 'a-b-c'].map(stackName)).size).toBe(4);
  expect(stackName(longest)).toMatch(/^[A-Za-z][A-Za-z0-9-]{0,127}$/);
});

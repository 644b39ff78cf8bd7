import type { Schedule } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { planOf, settings, stepOf } from '../test/plans.ts';
import { capabilities } from './capabilities.ts';
import { compileStateMachines } from './compile.ts';
import { costOf } from './cost/cost.ts';
import { looksIn } from './cost/transitions.ts';

const messages = (...given: Parameters<typeof capabilities>): string =>
  capabilities(...given)
    .map(({ message }) => message)
    .join('\n');
const cron = (more: object = {}): Schedule => ({ kind: 'cron', expression: '0 2 * * *', timeZone: 'UTC', ...more });

test('a plan of one stage, started by hand and tried once, is the same everywhere', () => {
  expect(capabilities(planOf([{ id: 'a' }]))).toEqual([]);
});

test.each([
  ['what a schedule makes up for', planOf([{ id: 'a' }], { schedule: cron() }), /catchUp: "latest" is not kept/],
  ['what waits for an earlier run', planOf([{ id: 'a' }], { schedule: cron() }), /overlap: "queue" is not kept/],
  ['who is told of a late run', planOf([{ id: 'a' }], { schedule: cron({ within: '1h' }) }), /within is not kept/],
  ['a trigger that AWS does not have', planOf([{ id: 'a' }], { schedule: { kind: 'notify', channel: 'orders' } }), /no trigger/],
  [
    'errors that cannot pass',
    planOf([{ id: 'a', retry: { attempts: 3, delayMs: 1, maxDelayMs: 1 } }]),
    /Every error of "a" is tried again/,
  ],
  ['what runs beside a failure', planOf([{ id: 'a' }, { id: 'b' }]), /stops those that run beside it/],
  [
    'objects that are written several times',
    planOf([{ id: 'a' }], { schedule: { kind: 'files', pattern: 's3://b/*' } }),
    /quiet is not waited for/,
  ],
  [
    'windows, which only a scheduler of ours knows',
    planOf([{ id: 'a' }, { id: 'b' }], {
      schedule: cron(),
      steps: [stepOf('b', { description: { values: [{ kind: 'run-value', of: 'window.start' }] } })],
    }),
    /^"b" asks for the window/m,
  ],
  ['limits', planOf([{ id: 'a', limits: [{ kind: 'pool', name: 'shop', most: null }] }]), /pool "shop" \("a"\)/],
  ['streams', planOf([{ id: 'a', kind: 'changes' }]), /does not compile/],
  ['priorities', { ...planOf([{ id: 'a' }]), priority: 'high' as const, concurrency: 3 }, /concurrency: 3.*\n.*priority/],
])('it says of %s', (_, plan, wanted) => {
  expect(messages(plan)).toMatch(wanted);
});

test('a function is to be named by a version', () => {
  const named = (lambda: string) => messages(planOf([{ id: 'a' }]), { work: { lambda } });
  const arn = 'arn:aws:lambda:eu-west-1:123456789012:function:etl';
  for (const plain of ['etl', arn, 'etl:$LATEST', `${arn}:$LATEST`]) expect(named(plain)).toMatch(/without a version.*PLAN_CHANGED/);
  for (const version of ['etl:12', `${arn}:12`, `${arn}:live`]) expect(named(version)).toBe('');
});

test('with tokens, errors are told apart', () => {
  const plan = planOf([{ id: 'a', retry: { attempts: 3, delayMs: 1, maxDelayMs: 1 } }]);
  expect(messages(plan, { work: 'token' })).toBe('');
  expect(messages({ ...plan, schedule: cron({ catchUp: 'none', overlap: 'allow' }) }, { work: 'token' })).toBe('');
});

test('a run is paid for by its states and by what its tasks use', () => {
  const plan = planOf([{ id: 'a' }, { id: 'b', needs: ['a'] }, { id: 'c', needs: ['a'] }]);
  const { lines, dollars, assumes } = costOf(plan, compileStateMachines(plan, settings), settings, 5);
  // Five of the input, a, the Parallel with b and c, the end.
  expect(lines[0]).toMatchObject({ what: 'Step Functions', quantity: 10 });
  expect(lines[1]).toMatchObject({ what: 'Fargate, 3 task(s)', quantity: 0.3, unit: 'vCPU-hours' });
  expect(dollars).toBeCloseTo(10 * 0.000025 + 0.3 * 0.04048 + 0.6 * 0.004445 + 3 * 0.000111, 6);
  expect(assumes[0]).toMatch(/every stage takes 5 min/);
});

test('what starts it is paid for as well', () => {
  const transitions = (schedule: Schedule): number => {
    const plan = planOf([{ id: 'a' }], { schedule });
    return costOf(plan, compileStateMachines(plan, settings), settings, 5).lines[0]?.quantity ?? 0;
  };
  // The name, the start, its end.
  expect(transitions(cron()) - transitions({ kind: 'manual' })).toBe(3);
});

test('looks come at pauses that double', () => {
  expect(looksIn(1, 5, 60)).toBe(1);
  expect(looksIn(60, 2, 60)).toBe(5);
  expect(looksIn(3600, 2, 60)).toBe(64);
});

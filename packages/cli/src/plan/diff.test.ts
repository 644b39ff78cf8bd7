import type { Plan } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { canonicalJson } from './canonical.ts';
import { planDiff } from './diff.ts';

const stage = {
  id: 'copy',
  kind: 'rows',
  steps: ['orders', 'copy'],
  needs: [],
  lane: 'bytes',
  reason: 'x',
  absorbed: [],
  read: 'csv',
  write: 'csv',
  whole: false,
  retry: { attempts: 5, delayMs: 1000, maxDelayMs: 300_000 },
  timeoutMs: null,
  onFailure: 'stop',
};
const orders = {
  name: 'orders',
  kind: 'extract',
  does: 'extract public.orders',
  description: {},
  input: null,
  after: [],
  columns: [{ name: 'id', type: { kind: 'int8' }, nullable: false }],
  edges: [],
  ddl: [],
};
const plan = (fingerprint: string, change: object = {}) =>
  ({
    version: 1,
    pipeline: 'p',
    fingerprint,
    schedule: { kind: 'manual' },
    params: {},
    steps: [orders],
    stages: [stage],
    warnings: [],
    ...change,
  }) as unknown as Plan;

test('equal fingerprints have no changes', () => {
  expect(planDiff(plan('a'), plan('a'))).toEqual([]);
});

test('a first plan is all new', () => {
  expect(planDiff(null, plan('a'))).toEqual([
    { sign: '+', what: 'step orders: extract public.orders', details: [] },
    { sign: '+', what: 'stage copy: bytes lane', details: [] },
  ]);
});

test('fields, columns and stages that changed are named', () => {
  const changed = plan('b', {
    schedule: { kind: 'cron', expression: '0 2 * * *', timeZone: 'UTC' },
    steps: [
      {
        ...orders,
        columns: [
          { name: 'id', type: { kind: 'int4' }, nullable: false },
          { name: 'total', type: { kind: 'numeric' }, nullable: true },
        ],
      },
    ],
    stages: [{ ...stage, id: 'copied' }],
  });
  expect(planDiff(plan('a'), changed)).toEqual([
    {
      sign: '~',
      what: 'pipeline',
      details: ['schedule.kind: "manual" → "cron"', 'schedule.expression: nothing → "0 2 * * *"', 'schedule.timeZone: nothing → "UTC"'],
    },
    { sign: '~', what: 'step orders', details: ['~ columns id type.kind: "int8" → "int4"', expect.stringContaining('+ columns total')] },
    { sign: '+', what: 'stage copied: bytes lane', details: [] },
    { sign: '-', what: 'stage copy: bytes lane', details: [] },
  ]);
});

test('the order of properties is no change', () => {
  expect(canonicalJson({ a: 1, b: [{ d: 2n, c: null }] })).toBe(canonicalJson({ b: [{ c: null, d: 2n }], a: 1, e: undefined }));
});

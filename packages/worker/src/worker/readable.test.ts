import type { StageOutput } from '@millrace/core/runtime';
import { expect, it } from 'vitest';
import { redactor } from '../secrets/redact.ts';
import { readable } from './readable.ts';

const output: StageOutput = {
  kind: 'load',
  receipt: {
    loadId: 'a1',
    rows: 3,
    bytes: 10,
    files: { location: 'file:///home/ann/lake/orders/', manifest: '_manifest/0000000001.json', format: 'parquet', rows: 3 },
    checkpoint: { window: null, loadId: 'a1' },
  },
  alreadyApplied: false,
  lane: 'rows',
  splits: 1,
  rejected: {},
  checks: [{ check: 'not null: name', severity: 'warn', passed: false, found: '1 of 3 rows', sample: ['orders of ann'] }],
};

it('keeps every letter of a receipt, also of a word that is a password: later stages find the files by it', () => {
  const by = redactor();
  by.hide('postgres://shop:orders@db/shop');
  expect(readable(output, by)).toMatchObject({ receipt: { files: { location: 'file:///home/ann/lake/orders/' } } });
});

it('takes secrets out of what checks have found', () => {
  const by = redactor();
  by.hide('postgres://shop:orders@db/shop');
  expect(readable(output, by)).toMatchObject({ checks: [{ sample: ['*** of ann'] }] });
});

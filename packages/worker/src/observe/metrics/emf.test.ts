import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fleetLines, jobLine } from './cloudwatch.ts';
import { embedded } from './emf.ts';

/** The units that the specification names. */
const units = new Set(
  `Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits Gigabits Terabits Percent Count
  Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second Kilobits/Second Megabits/Second
  Gigabits/Second Terabits/Second Count/Second None`.split(/\s+/),
);

interface Directive {
  Namespace: unknown;
  Dimensions: unknown[];
  Metrics: { Name: string; Unit?: string }[];
}

/** What the specification asks of a document, and CloudWatch of names and values. */
function expectValid(line: string): Record<string, unknown> {
  expect(line).not.toContain('\n');
  expect(Buffer.byteLength(line)).toBeLessThan(256 * 1024);
  const root = JSON.parse(line) as Record<string, unknown>;
  const meta = root['_aws'] as { Timestamp: number; CloudWatchMetrics: Directive[] };
  expect(Object.keys(meta).sort()).toEqual(['CloudWatchMetrics', 'Timestamp']);
  expect(Number.isSafeInteger(meta.Timestamp)).toBe(true);
  for (const directive of meta.CloudWatchMetrics) {
    expect(Object.keys(directive).sort()).toEqual(['Dimensions', 'Metrics', 'Namespace']);
    expect(directive.Namespace).toBe('ETL/Jobs');
    expect(directive.Dimensions.length).toBeGreaterThan(0);
    for (const set of directive.Dimensions as string[][]) {
      expect(set.length).toBeLessThanOrEqual(30);
      for (const name of set) {
        const value = root[name];
        expect(typeof value).toBe('string');
        expect(value).toMatch(/^(?!:)[\x20-\x7e]{1,1024}$/);
        expect((value as string).trim()).not.toBe('');
      }
    }
    expect(directive.Metrics.length).toBeGreaterThan(0);
    expect(directive.Metrics.length).toBeLessThanOrEqual(100);
    for (const { Name, Unit } of directive.Metrics) {
      expect(units.has(Unit ?? 'None')).toBe(true);
      const value = root[Name];
      expect(typeof value).toBe('number');
      expect(Math.abs(value as number)).toBeLessThanOrEqual(2 ** 360);
    }
  }
  return root;
}

const ended = {
  type: 'run.ended',
  run: 'r1',
  pipeline: 'nightly',
  at: '2026-11-22T02:00:00.000Z',
  durationMs: 1_500,
  error: null,
} as const;

it('tells the duration and the status of a job by its name', () => {
  const good = expectValid(jobLine({ ...ended, result: 'succeeded' }) ?? '');
  expect(good).toMatchObject({ JobName: 'nightly', JobDuration: 1.5, JobStatus: 1, JobFailed: 0, Run: 'r1' });
  expect(good['_aws']).toMatchObject({ Timestamp: Date.UTC(2026, 10, 22, 2), CloudWatchMetrics: [{ Dimensions: [['JobName']] }] });
  expect(expectValid(jobLine({ ...ended, result: 'failed' }) ?? '')).toMatchObject({ JobStatus: 0, JobFailed: 1 });
  expect(expectValid(jobLine({ ...ended, result: 'partial' }) ?? '')).toMatchObject({ JobStatus: 0, JobFailed: 1 });
  expect(jobLine({ ...ended, result: 'cancelled' })).toBeNull();
});

it('tells the backlog of a fleet, also of one that has nothing', () => {
  const busy = {
    queue: 'fleet',
    ready: 8,
    running: 4,
    retrying: 1,
    due: 0,
    helpers: 0,
    elsewhere: 0,
    oldestReady: 12.5,
    workers: 4,
    backlogPerWorker: 2,
  };
  const gauges = { queues: [busy, { ...busy, queue: 'local' }], runs: {}, streams: [], alertsOpen: 0 };
  const lines = fleetLines(gauges, 'idle', new Date());
  expect(lines.map((line) => expectValid(line))).toMatchObject([
    { Queue: 'fleet', BacklogPerWorker: 2, OldestReadyAge: 12.5, Workers: 4 },
    { Queue: 'idle', BacklogPerWorker: 0, OldestReadyAge: 0, Workers: 0 },
  ]);
});

it('is valid whatever a pipeline is called, and leaves out what is no number', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.double(), fc.double({ noNaN: true, min: 0, max: 1e9 }), (name, any, number) => {
      const line = embedded({
        at: new Date(),
        dimensions: { JobName: name },
        metrics: { Any: [any, 'Count'], Number: [number, 'Seconds'] },
      });
      const root = expectValid(line ?? '');
      expect('Any' in root).toBe(Number.isFinite(any) && Math.abs(any) < 2 ** 360);
    }),
  );
  expect(embedded({ at: new Date(), dimensions: { A: 'a' }, metrics: { M: [Number.NaN, 'None'] } })).toBeNull();
});

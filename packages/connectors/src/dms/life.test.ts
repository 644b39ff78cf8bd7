import { describe, expect, test } from 'vitest';
import type { Replicating } from './client.ts';
import { startOf, stateOf } from './life.ts';

const replication = (more: Partial<Replicating>): Replicating => ({
  status: 'stopped',
  type: 'full-load',
  stopReason: null,
  failure: null,
  startedAt: '2026-03-28T00:00:00.000Z',
  stoppedAt: null,
  fullLoad: 1,
  tables: { loaded: 3, loading: 0, queued: 0, errored: 0 },
  checkpoint: null,
  ...more,
});

describe('how it is started follows from its state', () => {
  test.each([
    ['never started', { status: 'ready', startedAt: null, fullLoad: null }, 'start-replication'],
    ['a configuration that was never started', { status: 'created', startedAt: null, fullLoad: null }, 'start-replication'],
    ['failed before it ran', { status: 'failed', startedAt: null, fullLoad: null }, 'start-replication'],
    ['a full load that is done', {}, 'reload-target'],
    ['a full load that failed', { status: 'failed', fullLoad: 0.4 }, 'reload-target'],
    ['a stream that was stopped', { type: 'cdc', fullLoad: null }, 'resume-processing'],
    ['a stream that failed', { type: 'cdc', status: 'failed', fullLoad: null }, 'resume-processing'],
    ['a load and stream that was stopped', { type: 'full-load-and-cdc' }, 'resume-processing'],
    ['one that was stopped in its load', { type: 'full-load-and-cdc', fullLoad: 0.4 }, 'reload-target'],
  ] as const)('%s', (_, more, type) => {
    expect(startOf(replication(more), { until: 'stopped', reload: false }, 'it')).toBe(type);
  });

  test('nothing is known of it', () => {
    expect(startOf(null, { until: 'stopped', reload: false }, 'it')).toBe('start-replication');
  });

  test('everything is asked for anew', () => {
    expect(startOf(replication({ type: 'full-load-and-cdc' }), { until: 'stopped', reload: true }, 'it')).toBe('reload-target');
  });

  test.each([
    ['running', 'REMOTE_UNAVAILABLE'],
    ['starting', 'REMOTE_UNAVAILABLE'],
    ['stopping', 'REMOTE_UNAVAILABLE'],
    ['creating', 'REMOTE_UNAVAILABLE'],
    ['modifying', 'REMOTE_UNAVAILABLE'],
    ['moving', 'REMOTE_UNAVAILABLE'],
    ['testing', 'REMOTE_UNAVAILABLE'],
    ['provisioning_capacity', 'REMOTE_UNAVAILABLE'],
    ['deleting', 'REMOTE_REFUSED'],
    ['failed_move', 'REMOTE_REFUSED'],
  ])('it is %s', (status, code) => {
    expect(() => startOf(replication({ status }), { until: 'stopped', reload: false }, 'it')).toThrow(expect.objectContaining({ code }));
  });
});

describe('what its state means for the step', () => {
  const stopped = (stopReason: string | null, more: Partial<Replicating> = {}) => replication({ stopReason, ...more });
  const stream = { type: 'full-load-and-cdc' } as const;
  const errored = { loaded: 2, loading: 0, queued: 0, errored: 1 };
  test.each([
    ['starting', replication({ status: 'starting' }), { at: 'running', status: 'starting' }],
    ['running', replication({ status: 'running', fullLoad: 0.4 }), { at: 'running', progress: 0.4 }],
    ['provisioning', replication({ status: 'provisioning_capacity', fullLoad: null }), { at: 'running', progress: null }],
    ['a status of tomorrow', replication({ status: 'pondering' }), { at: 'running', status: 'pondering' }],
    ['a load that is done', stopped('FULL_LOAD_ONLY_FINISHED'), { at: 'succeeded', output: { tables: 3 } }],
    ['a load that is done without a word', stopped(null), { at: 'succeeded' }],
    ['a load that ended normally', stopped('NORMAL'), { at: 'succeeded' }],
    [
      'a load that somebody stopped',
      stopped('NORMAL', { fullLoad: 0.74, tables: { loaded: 1, loading: 1, queued: 0, errored: 0 } }),
      { at: 'failed', again: true, reason: expect.stringContaining('74 %') },
    ],
    [
      'a load that is called done and is not',
      stopped('FULL_LOAD_ONLY_FINISHED', { fullLoad: 0.74, tables: { loaded: 1, loading: 1, queued: 0, errored: 0 } }),
      { at: 'failed', again: true },
    ],
    [
      'tables in error',
      stopped('FULL_LOAD_ONLY_FINISHED', { tables: errored }),
      { at: 'failed', again: false, reason: expect.stringContaining('1 table') },
    ],
    ['cached changes applied', stopped('STOPPED_AFTER_CACHED_EVENTS', stream), { at: 'succeeded' }],
    [
      'its commit time',
      stopped('STOPPED_AT_COMMIT_TIME', { type: 'cdc', fullLoad: null, checkpoint: 'V1#9' }),
      { output: { checkpoint: 'V1#9' } },
    ],
    ['a stream that somebody stopped', stopped('NORMAL', { type: 'cdc', fullLoad: null }), { at: 'succeeded' }],
    ['a restart of its own', stopped('RECYCLE_TASK', stream), { at: 'running' }],
    ['an error that may pass', stopped('RECOVERABLE_ERROR', stream), { at: 'failed', again: true }],
    [
      'an error that does not',
      stopped('FATAL_ERROR', { failure: 'No such slot' }),
      { again: false, reason: expect.stringContaining('No such slot') },
    ],
    ['no memory', stopped('STOPPED_DUE_TO_LOW_MEMORY'), { at: 'failed', again: true }],
    ['no disk', stopped('STOPPED_DUE_TO_LOW_DISK'), { at: 'failed', again: false }],
    [
      'failed',
      replication({ status: 'failed', failure: 'Endpoint not reachable' }),
      { at: 'failed', again: false, reason: 'Endpoint not reachable' },
    ],
    ['deleting', replication({ status: 'deleting' }), { at: 'failed', again: false }],
  ])('%s', (_, of, state) => {
    expect(stateOf(of, { until: 'stopped' })).toMatchObject(state);
  });

  test('where the full load is its end, the stream goes on', () => {
    const going = { status: 'running', ...stream } as const;
    expect(stateOf(replication({ ...going, fullLoad: 0.9 }), { until: 'loaded' })).toMatchObject({ at: 'running' });
    expect(stateOf(replication(going), { until: 'loaded' })).toMatchObject({ at: 'succeeded' });
    expect(stateOf(replication({ ...going, tables: errored, fullLoad: 0.9 }), { until: 'loaded' })).toMatchObject({ at: 'failed' });
    expect(stateOf(replication(going), { until: 'stopped' })).toMatchObject({ at: 'running' });
  });
});

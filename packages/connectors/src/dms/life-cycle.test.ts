import { describe, expect, test } from 'vitest';
import { type DmsStatus, howToBegin, howToGoOn } from './life-cycle.ts';

const task = (state: Partial<DmsStatus>): DmsStatus => ({
  status: 'ready',
  stopReason: null,
  failure: null,
  freshStart: null,
  kind: 'full-load-and-cdc',
  mappings: null,
  settings: null,
  sourceEndpoint: null,
  targetEndpoint: null,
  ...state,
});
const monday = '2026-03-30T00:00:00.000Z';
const tuesday = '2026-03-31T00:00:00.000Z';

describe('a full load that nobody follows', () => {
  const ways = [
    ['a task that has never run', { status: 'ready' }, null, 'start'],
    ['a serverless replication that has never run', { status: 'created' }, null, 'start'],
    ['one that has stopped', { status: 'stopped', freshStart: monday }, monday, 'reload'],
    ['one that has failed', { status: 'failed', freshStart: monday }, monday, 'reload'],
    ['one that runs, and is followed', { status: 'running', freshStart: monday }, monday, 'stop'],
    ['one that somebody has started', { status: 'running', freshStart: monday }, null, 'adopt'],
    ['one that was started again since', { status: 'running', freshStart: tuesday }, monday, 'adopt'],
    ['one that is on its way', { status: 'modifying' }, null, 'wait'],
    ['a serverless replication that gets its capacity', { status: 'provisioning_capacity' }, null, 'wait'],
  ] as const;
  for (const [what, state, followed, does] of ways)
    test(`${what}: ${does}`, () => expect(howToBegin(task(state), followed)).toMatchObject({ do: does }));
  test('one that is being deleted is refused', () => expect(() => howToBegin(task({ status: 'deleting' }), null)).toThrow('deleting'));
});

describe('a stream that is followed', () => {
  const ways = [
    ['runs', { status: 'running' }, 'nothing'],
    ['was stopped by somebody', { status: 'stopped', stopReason: 'NORMAL' }, 'resume'],
    ['has stopped after what was cached', { status: 'stopped', stopReason: 'STOPPED_AFTER_CACHED_EVENTS' }, 'resume'],
    ['was a full load only', { status: 'stopped', stopReason: 'FULL_LOAD_ONLY_FINISHED', kind: 'full-load' }, 'nothing'],
    ['is stopping', { status: 'stopping' }, 'wait'],
  ] as const;
  for (const [what, state, does] of ways)
    test(`${what}: ${does}`, () => expect(howToGoOn(task({ freshStart: monday, ...state }), 'DMS task T')).toMatchObject({ do: does }));

  const ends = [
    ['failed', { status: 'failed', failure: 'no memory' }, 'REMOTE_FAILED'],
    ['stopped with a fatal error', { status: 'stopped', stopReason: 'FATAL_ERROR' }, 'REMOTE_FAILED'],
    ['stopped with an error that passes', { status: 'stopped', stopReason: 'RECOVERABLE_ERROR' }, 'REMOTE_INTERRUPTED'],
    ['made anew', { status: 'ready', freshStart: null }, 'RESYNC_REQUIRED'],
  ] as const;
  for (const [what, state, code] of ends)
    test(`${what}: ${code}`, () => {
      expect(() => howToGoOn(task({ freshStart: monday, ...state }), 'DMS task T')).toThrow(expect.objectContaining({ code }));
    });
});

import { expect, test } from 'vitest';
import type { SinkState, StreamIdentity, StreamStatus } from '../../connector/index.ts';
import { memoryPosition as at } from '../../testing/memory-database.ts';
import { beginOf } from './start.ts';

const identity: StreamIdentity = { source: 'postgres:1/shop', slot: 'p_changes', origin: at(10) };
const stream: StreamStatus = { identity, confirmed: at(20), end: at(40) };
const none: SinkState = { identity: null, position: null, copied: {}, deadLetters: 0 };
const sink = (position: number, parts: Partial<StreamIdentity> = {}): SinkState => ({
  ...none,
  identity: { ...identity, ...parts },
  position: at(position),
});
const begin = (states: readonly SinkState[], status: StreamStatus | null = stream) =>
  beginOf(
    'shop',
    states.map((state, place) => ({ name: `sink${place}`, state })),
    status,
  );

test('where nobody follows a stream a new one is made, whatever the source still has', () => {
  expect(begin([none])).toEqual({ kind: 'new' });
  expect(begin([none, none], null)).toEqual({ kind: 'new' });
});

test('a sink goes on between what was released and what was written, bounds included', () => {
  for (const position of [20, 30, 40]) expect(begin([sink(position)])).toEqual({ kind: 'resume', joining: [] });
});

test('a sink that follows nothing yet joins the others', () => {
  expect(begin([sink(30), none, sink(25), none])).toEqual({ kind: 'resume', joining: ['sink1', 'sink3'] });
});

test.for([
  ['the slot is gone', sink(30), null, /does not have any more/],
  ['another database', sink(30, { source: 'postgres:2/shop' }), stream, /another database/],
  ['another slot', sink(30, { slot: 'other' }), stream, /made anew/],
  ['a slot made anew under its name', sink(30, { origin: at(9) }), stream, /made anew/],
  ['a target restored to an older state', sink(19), stream, /restored to an older state, or somebody else has read the slot/],
  ['a source restored to an older state', sink(41), stream, /only come to/],
] as const)('%s: the tables must be copied again, and nothing is guessed', ([, state, status, message]) => {
  for (const states of [[state], [sink(30), state], [none, state]]) {
    const problem = status === null ? /does not have any more/ : message;
    expect(() => begin(states, status)).toThrow(
      expect.objectContaining({
        code: 'RESYNC_REQUIRED',
        message: expect.stringMatching(problem),
        remedy: expect.stringContaining('millrace resync shop'),
      }),
    );
  }
});

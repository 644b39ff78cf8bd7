import type { Position } from '@millrace/core/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MariaPosition } from '../binlog/maria-gtid.ts';
import { GtidSet } from '../binlog/mysql-gtid.ts';
import { placeOf, positionAt, type StreamPlace } from './stream-position.ts';
import { type GroupName, Track } from './track.ts';

const uuid = (digit: number): string => `${digit}`.repeat(32);
const places: readonly StreamPlace[] = [
  { by: 'maria-gtid', position: MariaPosition.parse('0-1-1234,5-2-17') },
  { by: 'maria-gtid', position: MariaPosition.parse('') },
  { by: 'mysql-gtid', set: GtidSet.parse(`${uuid(1)}:1-5:9:tag_a:1-2,${uuid(2)}:3`) },
  { by: 'mysql-gtid', set: GtidSet.parse('') },
  { by: 'file', file: 17, offset: 2 ** 40 },
];

test.each(places)('a position is read back: $by', (place) => {
  const position = positionAt(place);
  expect(position).toMatch(/^\d{24}0[msf]/);
  expect(positionAt(placeOf(position))).toBe(position);
});

test('a position of another kind of source asks for a new copy', () => {
  expect(() => placeOf('00000001000000000B5C3D10' as Position)).toThrow('is no position in a binary log');
});

/** Transactions as they stand in one log. */
const logs: Readonly<Record<string, fc.Arbitrary<{ readonly from: StreamPlace; readonly groups: GroupName[] }>>> = {
  'maria-gtid': fc
    .array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 3 })), { minLength: 1, maxLength: 30 })
    .map((steps) => {
      const last = [0, 0, 0];
      return {
        from: { by: 'maria-gtid', position: MariaPosition.parse('') },
        groups: steps.map(([domain, step]) => {
          last[domain] = (last[domain] ?? 0) + step;
          return { by: 'maria-gtid', gtid: { domain, server: domain + 1, sequence: last[domain] } };
        }),
      };
    }),
  'mysql-gtid': fc
    .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 40 })), {
      minLength: 1,
      maxLength: 30,
      selector: String,
    })
    .map((gtids) => ({
      from: { by: 'mysql-gtid', set: GtidSet.parse('') },
      groups: gtids.map(([server, number]) => ({ by: 'mysql-gtid', gtid: { server: uuid(server), tag: '', number } })),
    })),
};

test.each(Object.keys(logs))('commits stand between the positions before and after them, and all of them rise: %s', (kind) => {
  fc.assert(
    fc.property(logs[kind] as fc.Arbitrary<{ from: StreamPlace; groups: GroupName[] }>, ({ from, groups }) => {
      const track = new Track(
        from.by === 'maria-gtid'
          ? { ...from, position: from.position.copy() }
          : from.by === 'mysql-gtid'
            ? { ...from, set: from.set.copy() }
            : from,
      );
      let last = track.position;
      const commits = new Set<string>();
      for (const [place, group] of groups.entries()) {
        expect(track.has(group)).toBe(false);
        const commit = track.commit(group);
        track.pass(group, { file: 1, offset: place });
        expect(commit > last && commit < track.position).toBe(true);
        commits.add(commit);
        last = track.position;
        // Somebody who begins there says the same.
        expect(new Track(placeOf(last)).position).toBe(last);
      }
      expect(commits.size).toBe(groups.length);
    }),
  );
});

test('without GTIDs a position is a file and an offset in it', () => {
  const track = new Track({ by: 'file', file: 9, offset: 4 });
  const first: GroupName = { by: 'file', file: 9, offset: 4 };
  const [before, commit] = [track.position, track.commit(first)];
  track.pass(first, { file: 9, offset: 500 });
  expect(before < commit && commit < track.position).toBe(true);
  const inFile = track.position;
  track.moveTo({ file: 10, offset: 4 });
  expect(inFile < track.position).toBe(true);
  expect(track.has({ by: 'file', file: 9, offset: 499 })).toBe(true);
});

test('numbers of MariaDB that do not rise end the stream, for nobody could say what was read', () => {
  const track = new Track(placeOf(positionAt(places[0] as StreamPlace)));
  expect(() => track.has({ by: 'maria-gtid', gtid: { domain: 0, server: 2, sequence: 1000 } })).toThrow(
    expect.objectContaining({ remedy: expect.stringContaining('gtid_strict_mode') }),
  );
});

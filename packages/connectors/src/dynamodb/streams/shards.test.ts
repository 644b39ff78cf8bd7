import { expect, test } from 'vitest';
import { beginningOf, end, isOlder, moved, type Reached, readable, remembered, type Shard, sequenceOf } from './shards.ts';

const shard = (id: string, parent: string | null, isOpen = true): Shard => ({ id, parent, start: '1', isOpen });
/** a ends and becomes b and c; b ends and becomes d. */
const family = [shard('d', 'b'), shard('a', null, false), shard('b', 'a', false), shard('c', 'a')];
const ids = (shards: readonly Shard[]) => shards.map(({ id }) => id);

test('a new stream begins with the shards that are open, from their beginning', () => {
  expect(beginningOf(family, 5_000)).toEqual({ a: end, b: end, c: 'since:5000', d: 'since:5000' });
});

test('what was trimmed of them is of before for as long as nothing of after can have been', () => {
  const day = 24 * 3_600_000;
  const [{ c = null }] = [beginningOf(family, 5_000)];
  expect([sequenceOf(c), sequenceOf('17'), sequenceOf(null)]).toEqual([null, '17', null]);
  expect([isOlder(c, 6_000), isOlder(c, day), isOlder('17', 6_000), isOlder(null, 6_000)]).toEqual([true, false, false, false]);
});

test.each<[Reached, string[]]>([
  [{ a: null }, ['a']],
  [{ a: '5' }, ['a']],
  [{ a: end }, ['b', 'c']],
  [{ a: end, b: '7' }, ['b', 'c']],
  [{ a: end, b: end, c: '3' }, ['d', 'c']],
  [{ a: end, b: end, c: end, d: end }, []],
])('where %j was reached, %j can be read', (reached, expected) => {
  expect(ids(readable(family, reached, 's')).sort()).toEqual([...expected].sort());
});

test.each<[string, readonly Shard[], Reached]>([
  ['one that was not read to its end has gone', family, { a: end, x: '5' }],
  ['one has come whose parent nobody has seen', [shard('e', 'x')], { a: end }],
  ['one has come out of nowhere', [shard('e', null)], { a: end }],
])('%s: something was trimmed', (_, shards, reached) => {
  expect(() => readable(shards, reached, 's')).toThrow(expect.objectContaining({ code: 'RESYNC_REQUIRED' }));
});

test('what has ended is remembered for as long as it is listed, and once more', () => {
  const listed = [shard('c', 'a')];
  expect(remembered(listed, { a: end, b: '3' }, { a: end, b: end, c: '1' })).toEqual({ b: end, c: '1' });
  expect(remembered(family, { a: end }, { a: end, b: end })).toEqual({ a: end, b: end });
});

test('parents come before their children, also where one between them had nothing', () => {
  expect(moved(family, { a: '1', b: null }, { a: end, b: null, d: '4', c: '2' })).toEqual(['a', 'c', 'd']);
  expect(moved(family, {}, { a: null })).toEqual([]);
});

import { expect, test } from 'vitest';
import { altered, begun, type Event, guessed, joinedNow, joinOf, lineageAt, numbered } from './lineage.ts';

const add = (name: string) => ({ do: 'add', name, fill: { kind: 'constant', value: null } }) as const;
const shown = (lineage: ReturnType<typeof lineageAt>) => lineage?.columns.map(({ number, name }) => `${number} ${name}`);

const events: Event[] = [
  { kind: 'join', at: '20', joined: joinedNow(['id', 'a', 'b'], null) },
  { kind: 'alter', at: '31', steps: [{ do: 'rename', from: 'a', to: 'A2' }, add('c')] },
  { kind: 'alter', at: '41', steps: [{ do: 'drop', name: 'b' }, add('b')] },
];

test('the columns at a place follow from what is remembered, wherever one begins to read', () => {
  expect(shown(lineageAt(events, '20'))).toEqual(['1 id', '2 a', '3 b']);
  expect(shown(lineageAt(events, '31'))).toEqual(['1 id', '2 a', '3 b']);
  expect(shown(lineageAt(events, '40'))).toEqual(['1 id', '2 A2', '3 b', '4 c']);
  expect(shown(lineageAt([...events].reverse(), '50'))).toEqual(['1 id', '2 A2', '4 c', '5 b']);
  expect(lineageAt([], '50')).toBeNull();
});

test('a table that joins anew keeps the numbers of the columns it had', () => {
  const joined = joinedNow(['id', 'A2', 'c', 'b', 'd'], lineageAt(events, '50'));
  expect(joined).toEqual({
    columns: [
      { number: 1, name: 'id' },
      { number: 2, name: 'A2' },
      { number: 4, name: 'c' },
      { number: 5, name: 'b' },
      { number: 6, name: 'd' },
    ],
    next: 7,
    declared: { id: 1, A2: 2, c: 4, b: 5, d: 6 },
  });
  const all: Event[] = [...events, { kind: 'join', at: '50', joined }];
  expect(shown(lineageAt(all, '45'))).toEqual(['1 id', '2 A2', '4 c', '5 b']);
  expect(shown(lineageAt(all, '50'))).toEqual(['1 id', '2 A2', '4 c', '5 b', '6 d']);
  // Read from before it joined first: what it had then is the best that is known.
  expect(shown(lineageAt(all, '10'))).toEqual(['1 id', '2 a', '3 b']);
});

test('names are compared as MySQL does, and a step that was done already does nothing', () => {
  const lineage = begun(joinedNow(['Id', 'Note'], null));
  expect(shown(altered(lineage, [{ do: 'rename', from: 'NOTE', to: 'text' }, add('ID')]))).toEqual(['1 Id', '2 text']);
  expect(numbered(lineage, ['note', 'id'])?.map(({ number }) => number)).toEqual([2, 1]);
  expect(numbered(lineage, ['note'])).toBeNull();
});

test('steps of one ALTER TABLE happen at once', () => {
  const lineage = begun(joinedNow(['id', 'a', 'b'], null));
  const rename = (from: string, to: string) => ({ do: 'rename', from, to }) as const;
  expect(shown(altered(lineage, [rename('a', 'b'), rename('b', 'a')]))).toEqual(['1 id', '2 b', '3 a']);
  expect(shown(altered(lineage, [rename('a', 'b'), rename('b', 'c')]))).toEqual(['1 id', '2 b', '3 c']);
  expect(shown(altered(lineage, [add('a'), { do: 'drop', name: 'a' }]))).toEqual(['1 id', '3 b', '4 a']);
  expect(shown(altered(lineage, [rename('a', 'b'), { do: 'drop', name: 'b' }]))).toEqual(['1 id', '2 b']);
});

test('a copy that was begun and never came to its end does not count', () => {
  const joined = joinedNow(['id', 'A2', 'c', 'b'], null);
  const all: Event[] = [...events, { kind: 'join', at: '45', joined }];
  expect(joinOf(all, '20')?.at).toBe('20');
  expect(joinOf(all, '45')?.at).toBe('45');
  expect(shown(lineageAt(all, '50', '20'))).toEqual(['1 id', '2 A2', '4 c', '5 b']);
  expect(shown(lineageAt(all, '50', '47'))).toEqual(['1 id', '2 A2', '3 c', '4 b']);
});

test('what no statement has told is guessed where there is only one way to see it', () => {
  const lineage = begun(joinedNow(['id', 'a'], null));
  expect(guessed(lineage, ['id'], 't')).toEqual([{ do: 'drop', name: 'a' }]);
  expect(guessed(lineage, ['id', 'a', 'b'], 't')).toEqual([{ do: 'add', name: 'b', fill: { kind: 'computed' } }]);
  expect(() => guessed(lineage, ['id', 'b'], 't')).toThrow('no ALTER TABLE in the log says which became which');
});

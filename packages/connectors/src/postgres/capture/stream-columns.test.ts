import type { ColumnType, RowSchema } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { declaredNumbers } from './column-memory.ts';
import { columnChanges, columnsAt, declaredStreamColumns, keyAt, type SourceColumn } from './stream-columns.ts';

const oids = { int4: 23, int8: 20, text: 25 } as const;
const nothing = { kind: 'constant', value: null } as const;
type Kind = keyof typeof oids;

/** `{ id: [1, 'int4'] }`: number and type by name, in the order of the numbers. */
const source = (columns: Record<string, readonly [number: number, type: Kind]>): SourceColumn[] =>
  Object.entries(columns).map(([name, [number, kind]]) => ({
    name,
    number,
    type: { kind } as ColumnType,
    typeOid: oids[kind],
    modifier: -1,
    notNull: name === 'id',
    fill: nothing,
  }));
const declare = (columns: Record<string, Kind>): RowSchema => ({
  columns: Object.entries(columns).map(([name, kind]) => ({ name, type: { kind }, nullable: name !== 'id' })),
  key: ['id'],
});

interface Case {
  readonly declared: Record<string, Kind>;
  readonly joined: SourceColumn[] | null;
  readonly relation: SourceColumn[];
  readonly catalog: SourceColumn[];
  readonly passed?: readonly number[];
}

function at({ declared, joined, relation, catalog, passed = [] }: Case) {
  const schema = declare(declared);
  const before = joined && Object.fromEntries(joined.map(({ name, number }) => [name, number]));
  const names = Object.keys(declared);
  const remembered = before && Object.fromEntries(Object.entries(before).filter(([name]) => names.includes(name)));
  const numbers = declaredNumbers(names, remembered, Object.fromEntries(catalog.map(({ name, number }) => [name, number])));
  const columns = columnsAt({
    declared: schema,
    declaredNumbers: numbers,
    joined: before,
    relation,
    known: catalog,
    catalog,
    passed: new Set(passed),
  });
  return {
    names: columns.map(({ column, source }) => `${column.name}@${source}`),
    changes: columnChanges('shop.people', declaredStreamColumns(schema, numbers), columns),
    key: keyAt(schema, numbers, columns),
  };
}

const first = source({ id: [1, 'int4'], secret: [2, 'text'], name: [3, 'text'] });

test('the declared columns are taken, wherever they stand, and the others left out', () => {
  expect(at({ declared: { name: 'text', id: 'int4' }, joined: first, relation: first, catalog: first })).toEqual({
    names: ['name@2', 'id@0'],
    changes: [],
    key: ['id'],
  });
});

test('a renamed column is known by its number, and so is the new one that has taken its name', () => {
  const now = source({ id: [1, 'int4'], title: [3, 'text'], name: [4, 'text'] });
  expect(at({ declared: { id: 'int4', name: 'text' }, joined: first, relation: now, catalog: now })).toEqual({
    names: ['id@0', 'title@1', 'name@2'],
    changes: [
      { change: 'rename', from: 'name', to: 'title' },
      { change: 'add', column: { name: 'name', type: { kind: 'text' }, nullable: true }, fill: null },
    ],
    key: ['id'],
  });
});

test('where nobody remembers numbers, a column that is gone is dropped and a new one left out', () => {
  const now = source({ id: [1, 'int4'], title: [3, 'text'] });
  expect(at({ declared: { id: 'int4', name: 'text' }, joined: null, relation: now, catalog: now })).toEqual({
    names: ['id@0'],
    changes: [{ change: 'drop', name: 'name' }],
    key: ['id'],
  });
});

test('a declaration that is ahead of the stream is not led back: names stay, columns to come are NULL', () => {
  const now = source({ id: [1, 'int4'], secret: [2, 'text'], title: [3, 'text'], city: [4, 'text'] });
  expect(at({ declared: { id: 'int4', title: 'text', city: 'text' }, joined: first, relation: first, catalog: now })).toEqual({
    names: ['id@0', 'title@2', 'city@-1'],
    changes: [],
    key: ['id'],
  });
});

test('a name that comes after the declared one is followed, the key with it', () => {
  const now = source({ number: [1, 'int4'], name: [3, 'text'] });
  expect(at({ declared: { id: 'int4', name: 'text' }, joined: first, relation: now, catalog: now, passed: [1, 3] })).toMatchObject({
    names: ['number@0', 'name@1'],
    changes: [
      { change: 'rename', from: 'id', to: 'number' },
      { change: 'retype', name: 'number' },
    ],
    key: ['number'],
  });
});

test('a type that fits the declared one changes nothing; another one does', () => {
  const now = source({ id: [1, 'int8'], secret: [2, 'text'], name: [3, 'text'] });
  const declared = { id: 'int4', name: 'text' } as const;
  expect(at({ declared: { ...declared, id: 'int8' }, joined: first, relation: now, catalog: now }).changes).toEqual([]);
  expect(at({ declared, joined: first, relation: now, catalog: now }).changes).toEqual([
    {
      change: 'retype',
      name: 'id',
      from: { name: 'id', type: { kind: 'int4' }, nullable: false },
      to: { name: 'id', type: { kind: 'int8' }, nullable: false },
    },
  ]);
});

test('a stream that is behind takes names for what they meant when the table joined', () => {
  const now = source({ id: [1, 'int4'], secret: [2, 'text'], title: [3, 'text'], name: [4, 'text'] });
  expect(at({ declared: { id: 'int4', name: 'text' }, joined: first, relation: first, catalog: now })).toEqual({
    names: ['id@0', 'name@2'],
    changes: [],
    key: ['id'],
  });
});

test('a declaration keeps its meaning until it is edited', () => {
  const now = { id: 1, title: 3, name: 4 };
  expect(declaredNumbers(['id', 'name'], { id: 1, name: 3 }, now)).toEqual({ id: 1, name: 3 });
  expect(declaredNumbers(['id', 'title', 'name'], { id: 1, name: 3 }, now)).toEqual({ id: 1, title: 3, name: 4 });
  expect(declaredNumbers(['id', 'name'], null, now)).toEqual({ id: 1, name: 4 });
  expect(declaredNumbers(['id', 'gone'], { id: 1 }, now)).toEqual({ id: 1 });
});

test('names that go from one column to the next are taken when they are free; names that change places are nobody’s to follow', () => {
  const declared = { id: 'int4', name: 'text', secret: 'text' } as const;
  const next = source({ id: [1, 'int4'], name: [2, 'text'], title: [3, 'text'] });
  expect(at({ declared, joined: first, relation: next, catalog: next }).changes).toEqual([
    { change: 'rename', from: 'name', to: 'title' },
    { change: 'rename', from: 'secret', to: 'name' },
  ]);
  const swapped = source({ id: [1, 'int4'], name: [2, 'text'], secret: [3, 'text'] });
  expect(() => at({ declared, joined: first, relation: swapped, catalog: swapped })).toThrow(
    `Columns of shop.people have taken one another's names ("name" is "secret" now, "secret" is "name" now)`,
  );
});

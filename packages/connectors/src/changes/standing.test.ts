import { int4, int8, text } from '@millrace/core';
import { type ColumnChange, type ColumnSchema, type ColumnType, sameType } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { standing } from './standing.ts';

const types = { int4: int4().type, int8: int8().type, text: text().type } as const;
type Columns = Readonly<Record<string, keyof typeof types>>;

const column = (name: string, type: keyof typeof types): ColumnSchema => ({ name, type: types[type] as ColumnType, nullable: true });
const drop = (name: string): ColumnChange => ({ change: 'drop', name });
const rename = (from: string, to: string): ColumnChange => ({ change: 'rename', from, to });
const add = (name: string, type: keyof typeof types = 'text'): ColumnChange => ({ change: 'add', column: column(name, type), fill: null });

/** Does what is left to be done, as targets do; `keeps`: drops are let be. */
function left(told: readonly ColumnChange[], declared: Columns, there: Columns, keeps = false, retold = true): unknown {
  const now = new Map(Object.entries(there));
  const done: string[] = [];
  for (const [at, change] of told.entries()) {
    const stands = standing(
      { changes: told, retold },
      at,
      { has: (name) => now.has(name), isOf: (name, { type }) => sameType(types[now.get(name)!] as ColumnType, type) },
      Object.entries(declared).map(([name, type]) => column(name, type)),
    );
    if (stands === 'done') continue;
    if (stands !== 'todo') return stands.unclear;
    if (change.change === 'drop' && !keeps) now.delete(change.name);
    if (change.change === 'rename') {
      now.set(change.to, now.get(change.from)!);
      now.delete(change.from);
    }
    if (change.change === 'add') {
      if (now.has(change.column.name)) continue;
      now.set(change.column.name, 'text');
    }
    done.push(change.change);
  }
  return done;
}

const declared = { a: 'text', b: 'text' } as const;

test.for<[string, readonly ColumnChange[], Columns, unknown, Columns?, boolean?]>([
  ['a drop', [drop('b')], { a: 'text', b: 'text' }, ['drop']],
  ['a drop that was done', [drop('b')], { a: 'text' }, []],
  ['a rename', [rename('a', 'c')], { a: 'text', b: 'text' }, ['rename']],
  ['a rename that was done', [rename('a', 'c')], { c: 'text', b: 'text' }, []],
  ['a name that another column takes', [drop('b'), rename('a', 'b')], { a: 'text', b: 'text' }, ['drop', 'rename']],
  ['a name that another column has taken', [drop('b'), rename('a', 'b')], { b: 'text' }, []],
  [
    'a name whose column was kept',
    [drop('b'), rename('a', 'b')],
    { a: 'text', b: 'text' },
    expect.stringContaining('has been kept'),
    declared,
    true,
  ],
  ['a name in the way', [rename('a', 'b')], { a: 'text', b: 'text' }, expect.stringContaining('has been kept')],
  ['names in a row', [rename('b', 'c'), rename('a', 'b')], { a: 'text', b: 'text' }, ['rename', 'rename']],
  ['names in a row that were taken', [rename('b', 'c'), rename('a', 'b')], { b: 'text', c: 'text' }, []],
  ['a name that is used again', [rename('a', 'c'), add('a')], { a: 'text', b: 'text' }, ['rename', 'add']],
  ['a name that has been used again', [rename('a', 'c'), add('a')], { a: 'text', b: 'text', c: 'text' }, []],
  ['a column of another type', [drop('b'), add('b', 'int4')], { a: 'text', b: 'text' }, ['drop', 'add']],
  ['a column of another type that is there', [drop('b'), add('b', 'int4')], { a: 'text', b: 'int4' }, []],
  ['a column of the same type', [drop('b'), add('b')], { a: 'text', b: 'text' }, expect.stringContaining('another of that name')],
  [
    'a wider one, which the old one may have become',
    [drop('b'), add('b', 'int8')],
    { b: 'int8' },
    expect.stringContaining('another'),
    { b: 'int4' },
  ],
  ['a column that came with the stream', [drop('c'), add('c')], { a: 'text', b: 'text', c: 'text' }, ['drop', 'add']],
  ['both names again', [drop('b'), rename('a', 'b'), add('a')], { a: 'text', b: 'text' }, expect.stringContaining('another of that name')],
])('%s', ([, told, there, expected, before = declared, keeps = false]) => {
  expect(left(told, before, there, keeps)).toEqual(expected);
});

test('what is told for the first time is done, whatever is there', () => {
  expect(left([drop('b'), add('b')], declared, { a: 'text', b: 'text' }, false, false)).toEqual(['drop', 'add']);
  expect(left([drop('b'), rename('a', 'b')], declared, { a: 'text', b: 'text' }, false, false)).toEqual(['drop', 'rename']);
  expect(left([drop('b'), rename('a', 'b')], declared, { a: 'text', b: 'text' }, true, false)).toContain('has been kept');
});

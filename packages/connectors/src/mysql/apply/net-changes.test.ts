import type { ColumnChange, ColumnSchema } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { type NetChange, net } from './net-changes.ts';

const column = (name: string, kind: 'text' | 'int4' | 'int8' = 'text'): ColumnSchema => ({ name, type: { kind }, nullable: true });
const add = (name: string, kind?: 'int4' | 'int8'): ColumnChange => ({ change: 'add', column: column(name, kind), fill: null });
const drop = (name: string): ColumnChange => ({ change: 'drop', name });
const rename = (from: string, to: string): ColumnChange => ({ change: 'rename', from, to });
const retype = (name: string): ColumnChange => ({ change: 'retype', name, from: column(name, 'int4'), to: column(name, 'int8') });

test.each<[string, ColumnChange[], NetChange[]]>([
  ['what was added and dropped again goes where it is there', [retype('a'), add('d'), drop('d')], [retype('a'), drop('d')]],
  [
    'what was added under another name has the last one',
    [add('d'), rename('d', 'e'), rename('e', 'f')],
    [{ ...add('f'), formerly: ['e', 'd'] }],
  ],
  ['what was added, renamed and dropped goes by any name', [add('d'), rename('d', 'e'), drop('e')], [{ ...drop('e'), formerly: ['d'] }]],
  ['what was added has its last type', [add('d', 'int4'), retype('d')], [add('d', 'int8')]],
  ['what was renamed and dropped is dropped', [rename('a', 'b'), drop('b')], [{ ...drop('a'), formerly: ['b'] }]],
  [
    'also where it was renamed twice',
    [rename('a', 'b'), retype('x'), rename('b', 'c'), drop('c')],
    [{ ...drop('a'), formerly: ['c', 'b'] }, retype('x')],
  ],
  ['a name may be used again', [drop('a'), add('a')], [drop('a'), add('a')]],
  ['also while the column lives on', [rename('a', 'b'), add('a'), drop('b')], [{ ...drop('a'), formerly: ['b'] }, add('a')]],
  ['the first of its name is another column', [rename('a', 'b'), add('a'), drop('a')], [rename('a', 'b'), drop('a')]],
  [
    'names may be exchanged',
    [rename('a', 'x'), rename('b', 'a'), rename('x', 'b')],
    [rename('a', 'x'), rename('b', 'a'), rename('x', 'b')],
  ],
])('%s', (_, changes, expected) => {
  expect(net(changes)).toEqual(expected);
});

import type { ColumnChange, ColumnSchema } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { net } from './net-changes.ts';

const column = (name: string, kind: 'text' | 'int4' | 'int8' = 'text'): ColumnSchema => ({ name, type: { kind }, nullable: true });
const add = (name: string, kind?: 'int4' | 'int8'): ColumnChange => ({ change: 'add', column: column(name, kind), fill: null });
const drop = (name: string): ColumnChange => ({ change: 'drop', name });
const rename = (from: string, to: string): ColumnChange => ({ change: 'rename', from, to });
const retype = (name: string): ColumnChange => ({ change: 'retype', name, from: column(name, 'int4'), to: column(name, 'int8') });

test.each<[string, ColumnChange[], ColumnChange[]]>([
  ['what was added and dropped again never was', [retype('a'), add('d'), drop('d')], [retype('a')]],
  ['what was added under another name has the last one', [add('d'), rename('d', 'e'), rename('e', 'f')], [add('f')]],
  ['what was added, renamed and dropped never was', [add('d'), rename('d', 'e'), drop('e')], []],
  ['what was added has its last type', [add('d', 'int4'), retype('d')], [add('d', 'int8')]],
  ['what was renamed and dropped is dropped', [rename('a', 'b'), drop('b')], [drop('a')]],
  ['a name may be used again', [drop('a'), add('a')], [drop('a'), add('a')]],
  ['the first of its name is another column', [rename('a', 'b'), add('a'), drop('a')], [rename('a', 'b')]],
  [
    'names may be exchanged',
    [rename('a', 'x'), rename('b', 'a'), rename('x', 'b')],
    [rename('a', 'x'), rename('b', 'a'), rename('x', 'b')],
  ],
])('%s', (_, changes, expected) => {
  expect(net(changes)).toEqual(expected);
});

import { expect, test } from 'vitest';
import { type ColumnChange, type Mask, outputColumns, type RelationalOp, secret, type Transform } from '../../connector/index.ts';
import { int4, int8, numeric, type RowSchema, table, text, varchar } from '../../schema/index.ts';
import { columnsBehind } from './columns-behind.ts';

const people = table('people', { id: int8(), email: text().orNull(), phone: text().orNull(), age: int4().orNull() }, { key: ['id'] });
const hash: Mask = { mask: 'hash', salt: secret('S') };

const relational = (op: RelationalOp): Transform => ({
  name: op.op,
  description: {},
  lane: 'columns',
  relational: op,
  output: ({ columns }) => ({ columns: outputColumns(op, columns) }),
  start: () => Promise.reject(new Error('not started')),
});
const aFunction = (output: Transform['output']): Transform => ({
  name: 'map',
  description: {},
  lane: 'rows',
  output,
  start: () => Promise.reject(new Error('not started')),
});
const mask = relational({ op: 'mask', columns: { email: hash } });
const select = relational({ op: 'select', columns: ['id', 'email'] });
const rename = relational({ op: 'rename', columns: { email: 'mail' } });
const filter = relational({ op: 'filter', where: [{ column: 'age', is: '>', value: 17 }] });
const map = aFunction(() => ({ columns: people.columns.slice(0, 2), key: ['id'] }));
const keep = aFunction((input) => input);

const column = (name: string, { type }: { type: RowSchema['columns'][number]['type'] } = text()) => ({ name, type, nullable: true });
const add = (name: string): ColumnChange => ({ change: 'add', column: column(name), fill: null });
const drop = (name: string): ColumnChange => ({ change: 'drop', name });
const call = (from: string, to: string): ColumnChange => ({ change: 'rename', from, to });
const retype = (name: string, from: Parameters<typeof column>[1], to: Parameters<typeof column>[1]): ColumnChange => ({
  change: 'retype',
  name,
  from: column(name, from),
  to: column(name, to),
});

/** The columns after the changes. */
function after(changes: readonly ColumnChange[]): RowSchema {
  const names = new Map(changes.flatMap((one) => (one.change === 'rename' ? [[one.from, one.to] as const] : [])));
  let columns = people.columns.map((one) => ({ ...one, name: names.get(one.name) ?? one.name }));
  for (const one of changes) {
    if (one.change === 'drop') columns = columns.filter(({ name }) => name !== one.name);
    if (one.change === 'add') columns = [...columns, one.column];
    if (one.change === 'retype') columns = columns.map((was) => (was.name === one.name ? one.to : was));
  }
  return { columns, key: ['id'] };
}

const behind = (transform: Transform, ...changes: ColumnChange[]) => columnsBehind(transform, changes, after(changes));

test.for([
  ['mask', mask, [call('email', 'mail')]],
  ['mask, where another column comes under the name', mask, [call('email', 'old'), call('phone', 'email')]],
  ['mask, where two columns take each other’s name', mask, [call('email', 'phone'), call('phone', 'email')]],
  ['mask', mask, [drop('email')]],
  ['mask, where a new column has the name', mask, [drop('email'), add('email')]],
  ['select', select, [call('email', 'mail')]],
  ['select', select, [drop('email')]],
  ['rename', rename, [call('email', 'e_mail')]],
  ['rename', rename, [drop('email')]],
  ['filter', filter, [call('age', 'years'), add('age')]],
  ['filter', filter, [drop('age')]],
  ['map', map, [call('phone', 'telephone')]],
  ['map', map, [drop('phone')]],
  ['map', map, [retype('age', int4(), int8())]],
  ['filter by function', keep, [call('age', 'years')]],
  ['filter by function', keep, [retype('age', int4(), text())]],
] as const)('%s: a column that it is about and that is another now stops the stream (%#)', ([, transform, changes]) => {
  expect(() => behind(transform, ...changes)).toThrow(
    /its column "(email|age|phone)" (is gone|is called|comes with values of another type)/,
  );
});

test('two columns of one name behind a rename stop it', () => {
  expect(() => behind(rename, add('mail'))).toThrow('two columns would be called "mail"');
  expect(() => behind(rename, call('phone', 'mail'))).toThrow('two columns would be called "mail"');
});

test('what a step is not about goes on, under the names behind it', () => {
  expect(behind(mask, call('phone', 'tel'), add('fax'), drop('age'))).toEqual([call('phone', 'tel'), add('fax'), drop('age')]);
  expect(behind(mask, retype('email', text(), varchar(10)), retype('age', int4(), int8()))).toEqual([retype('age', int4(), int8())]);
  expect(behind(select, call('phone', 'tel'), add('fax'), drop('age'), retype('email', text(), varchar(10)))).toEqual([
    retype('email', text(), varchar(10)),
  ]);
  expect(behind(rename, call('phone', 'tel'), retype('email', text(), varchar(10)))).toEqual([
    call('phone', 'tel'),
    { change: 'retype', name: 'mail', from: column('mail'), to: column('mail', varchar(10)) },
  ]);
  expect(behind(filter, add('fax'), call('email', 'mail'))).toEqual([add('fax'), call('email', 'mail')]);
});

test('a map gives the columns of its table, whatever comes; a filter by function hands on what comes', () => {
  expect(behind(map, add('email2'), add('fax'))).toEqual([]);
  expect(behind(keep, add('fax'), retype('email', text(), varchar(10)))).toEqual([add('fax'), retype('email', text(), varchar(10))]);
  expect(behind(keep, retype('age', numeric(10, 2), numeric(12, 2)))).toEqual([retype('age', numeric(10, 2), numeric(12, 2))]);
});

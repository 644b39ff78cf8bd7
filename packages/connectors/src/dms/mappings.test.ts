import { int8, table, text } from '@millrace/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { placeOfTable, sameMappings, tableMappings } from './mappings.ts';

const orders = table('public.orders', { id: int8(), note: text() }, { key: ['id'] });

test('a table is selected to the letter, and gets the number of each change', () => {
  expect(tableMappings({ orders }, { sequence: true })).toEqual({
    rules: [
      {
        'rule-type': 'selection',
        'rule-id': '1',
        'rule-name': 'millrace-1',
        'object-locator': { 'schema-name': 'public', 'table-name': 'orders' },
        'rule-action': 'explicit',
        filters: [],
      },
      {
        'rule-type': 'transformation',
        'rule-id': '2',
        'rule-name': 'millrace-2',
        'rule-target': 'column',
        'object-locator': { 'schema-name': '%', 'table-name': '%' },
        'rule-action': 'add-column',
        value: 'dms_change_seq',
        expression: '$AR_H_CHANGE_SEQ',
        'data-type': { type: 'string', length: 50 },
      },
    ],
  });
});

test('large values of single tables have a limit of their own', () => {
  const { rules } = tableMappings({ orders }, { sequence: false, lobKilobytes: { orders: 64 } });
  expect(rules[1]).toEqual({
    'rule-type': 'table-settings',
    'rule-id': '2',
    'rule-name': 'millrace-2',
    'object-locator': { 'schema-name': 'public', 'table-name': 'orders' },
    'lob-settings': { mode: 'limited', 'bulk-max-size': '64' },
  });
  expect(() => tableMappings({ orders }, { sequence: false, lobKilobytes: { others: 1 } })).toThrow('others');
});

const part = fc.string({ minLength: 1, maxLength: 40 }).filter((one) => one.trim() !== '' && !/[\0\r\n/]/.test(one));
const quoted = (one: string): string => `"${one.replaceAll('"', '""')}"`;

test('any name of a table comes through, whatever it means elsewhere', () => {
  fc.assert(
    fc.property(part, part, (schema, name) => {
      const place = placeOfTable(`${quoted(schema)}.${quoted(name)}`);
      expect(place).toEqual({ schema, table: name });
      const { rules } = tableMappings({ one: { name: `${quoted(schema)}.${quoted(name)}` } }, { sequence: true });
      const selections = (JSON.parse(JSON.stringify(rules)) as Record<string, unknown>[]).filter(
        (rule) => rule['rule-type'] === 'selection',
      );
      expect(selections).toHaveLength(1);
      expect(selections[0]).toMatchObject({ 'rule-action': 'explicit', 'object-locator': { 'schema-name': schema, 'table-name': name } });
    }),
  );
});

test('ids are unique, however many tables there are', () => {
  fc.assert(
    fc.property(fc.uniqueArray(part, { minLength: 1, maxLength: 30 }), fc.boolean(), (names, sequence) => {
      const tables = Object.fromEntries(names.map((name, at) => [`t${at}`, { name: `s.${quoted(name)}` }]));
      const { rules } = tableMappings(tables, { sequence, lobKilobytes: { t0: 5 } });
      const ids = (rules as Record<string, unknown>[]).map((rule) => rule['rule-id']);
      expect(new Set(ids).size).toBe(ids.length);
      expect(rules).toHaveLength(names.length + (sequence ? 1 : 0) + 1);
    }),
  );
});

test('what DMS has made of the rules is known again, in another order and with other ids', () => {
  const a = JSON.stringify(tableMappings({ orders, more: { name: 'public.more' } }, { sequence: true }));
  const { rules } = JSON.parse(a) as { rules: Record<string, unknown>[] };
  const b = JSON.stringify({
    rules: rules.toReversed().map((rule, at) => ({ 'rule-name': `x${at}`, ...rule, 'rule-id': `9${at}`, 'load-order': null })),
  });
  expect(sameMappings(a, b)).toBe(true);
  expect(sameMappings(a, JSON.stringify({ rules: rules.slice(1) }))).toBe(false);
  expect(sameMappings(a, 'no JSON')).toBe(false);
});

test('the key before an update is asked for where it is wanted', () => {
  const { rules } = tableMappings({ orders }, { sequence: false, keyBefore: true });
  expect(rules[1]).toEqual({
    'rule-type': 'transformation',
    'rule-id': '2',
    'rule-name': 'millrace-2',
    'rule-target': 'column',
    'object-locator': { 'schema-name': '%', 'table-name': '%' },
    'rule-action': 'add-before-image-columns',
    'before-image-def': { 'column-filter': 'pk-only', 'column-prefix': 'dms_before_' },
  });
});

test('a name that would be two folders is refused', () => {
  expect(() => placeOfTable('public."orders/2020"')).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
});

import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { changeSourceConformance, changeSourceTables, type Statement } from '@millrace/core/testing';
import { test } from 'vitest';
import { type FakeStreams, fakeStreams } from '../../../test/fake-streams.ts';
import { attributeWriter } from '../attribute.ts';
import { dynamodb } from '../index.ts';

type Name = keyof typeof changeSourceTables;
type Row = Readonly<Record<string, unknown>>;

/** The suite's tables, and its statements one item at a time. */
class Items {
  readonly #fake: FakeStreams;
  readonly #rows = new Map<string, Row>();

  constructor(fake: FakeStreams) {
    this.#fake = fake;
  }

  async do(statement: Statement): Promise<void> {
    switch (statement.do) {
      case 'insert':
        return this.#put(statement.table as Name, statement.row);
      case 'update': {
        const name = statement.table as Name;
        const before = this.#rows.get(nameOf(name, statement.key)) as Row;
        const after = { ...before, ...statement.set };
        if (nameOf(name, before) !== nameOf(name, after)) await this.#remove(name, before);
        return this.#put(name, after);
      }
      case 'delete':
        return this.#remove(statement.table as Name, statement.key);
      default:
        throw new TypeError(`${statement.do} is not for items`);
    }
  }

  async #put(name: Name, row: Row): Promise<void> {
    this.#rows.set(nameOf(name, row), row);
    await this.#fake.put(changeSourceTables[name].name, itemOf(name, row));
  }

  async #remove(name: Name, row: Row): Promise<void> {
    this.#rows.delete(nameOf(name, row));
    await this.#fake.remove(changeSourceTables[name].name, itemOf(name, keyOf(name, row)));
  }
}

const keyOf = (name: Name, row: Row): Row =>
  Object.fromEntries((changeSourceTables[name].key ?? []).map((column) => [column, row[column]]));
const nameOf = (name: Name, row: Row): string => `${name} ${Object.values(keyOf(name, row)).join('/')}`;
const itemOf = (name: Name, row: Row): Record<string, AttributeValue> =>
  Object.fromEntries(
    changeSourceTables[name].columns.flatMap((column) => {
      const value = row[column.name] ?? null;
      return value === null ? [] : [[column.name, attributeWriter(column)(value)] as const];
    }),
  );

changeSourceConformance(
  (name, body) => test(`streams of dynamodb: ${name}`, body),
  async () => {
    const fake = await fakeStreams();
    await fake.create('public.orders');
    await fake.create('public.pairs', 2, { a: 'N', b: 'S' });
    await fake.create('public.events');
    const items = new Items(fake);
    return {
      source: (tables) => dynamodb(fake.settings).capture(tables, { pollMs: 1 }),
      commit: async (statements) => {
        for (const statement of statements) await items.do(statement);
      },
      sendsUnchanged: true,
      work: { truncates: false, emptyKeys: false },
      [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose](),
    };
  },
  { order: 'rows', seeds: 2 },
);

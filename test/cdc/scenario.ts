import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../database.ts';
import { type LogicalServer, logicalServer, type ServerSettings } from '../logical-server.ts';
import { contents, declared, LiveMirror, type MirrorOptions, prepare } from './live-mirror.ts';

/*
 * Scenarios after those by which PostgreSQL tests its own logical replication (src/test/subscription/t of PostgreSQL, PostgreSQL License,
 * Copyright (c) 2021-2026, PostgreSQL Global Development Group): what is done at the source and what must then stand at the target is the
 * same, the statements are our own. `from` names the file that a scenario follows.
 */

export interface Scenario {
  readonly from: string;
  readonly name: string;
  /** At the source, before the stream begins. */
  readonly source?: string;
  /** At the target, before the stream begins; what is not there is made. */
  readonly target?: string;
  readonly run: (place: Place) => Promise<void>;
}

export interface Place {
  readonly source: TestDatabase;
  readonly target: TestDatabase;
  readonly mirror: LiveMirror;
  /** Does it at the source, each in a transaction of its own, and waits until the target has it. */
  does(...statements: readonly string[]): Promise<void>;
  /** The target has the rows that the source has. */
  equal(...tables: readonly string[]): Promise<void>;
  /** What a query finds at the target, a line of values for each row. */
  finds(query: string, rows: readonly string[]): Promise<void>;
}

export interface ScenariosOptions extends Omit<MirrorOptions, 'source' | 'target' | 'tables'> {
  readonly version?: 14 | 16 | 18;
  readonly settings?: ServerSettings;
  /** Makes the databases, where they are not plain ones. */
  readonly databases?: (server: LogicalServer) => Promise<{ readonly source: TestDatabase; readonly target: TestDatabase }>;
  /** Tables that are not captured, although they are there. */
  readonly without?: readonly string[];
  /** Keys that are not the primary ones. */
  readonly keys?: Readonly<Record<string, readonly string[]>>;
}

/** Scenarios that share a source, a target and one stream between them, each with tables of its own. */
export function scenarios(what: string, options: ScenariosOptions, all: readonly Scenario[]): void {
  describe(what, () => {
    let server: LogicalServer;
    let source: TestDatabase;
    let target: TestDatabase;
    let mirror: LiveMirror;
    beforeAll(async () => {
      const { version = 18, settings, databases, without = [], keys = {}, ...rest } = options;
      server = await logicalServer({ version, settings: { synchronous_commit: 'on', ...settings } });
      ({ source, target } = (await databases?.(server)) ?? { source: await server.database(), target: await server.database() });
      await prepare(source);
      for (const { source: before, target: there } of all) {
        if (before) await source.sql(before);
        if (there) await target.sql(there);
      }
      const found = Object.entries(await declared(source)).filter(([name]) => !without.includes(name));
      const tables = Object.fromEntries(found.map(([name, table]) => [name, keys[name] ? { ...table, key: keys[name] } : table]));
      mirror = new LiveMirror({ source, target, tables, ...rest });
      await mirror.start();
      await mirror.caughtUp();
    });
    afterAll(async () => {
      await mirror?.[Symbol.asyncDispose]();
      await source?.[Symbol.asyncDispose]();
      await target?.[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
    });
    for (const scenario of all) test(`${scenario.from}: ${scenario.name}`, () => scenario.run(placeOf(source, target, mirror)));
  });
}

export function placeOf(source: TestDatabase, target: TestDatabase, mirror: LiveMirror): Place {
  return {
    source,
    target,
    mirror,
    async does(...statements) {
      for (const statement of statements) await source.sql(statement);
      await mirror.caughtUp();
    },
    async equal(...tables) {
      for (const table of tables) expect({ [table]: await contents(target, table) }).toEqual({ [table]: await contents(source, table) });
    },
    async finds(query, rows) {
      const line = `select coalesce((select string_agg(coalesce(value, ''), '|') from json_each_text(row_to_json(q))), '') as line`;
      const found = await target.sql<{ line: string }>(`${line} from (${query}) q`);
      expect(found.map((row) => row.line)).toEqual(rows);
    },
  };
}

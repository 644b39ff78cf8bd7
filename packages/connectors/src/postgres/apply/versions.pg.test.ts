import type { ChangeSink, Table } from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { asText } from '../../../test/encoded.ts';
import { groupOf, positionAt, streamOf, type Transaction } from '../../../test/hand-made.ts';
import { type Row, testContext } from '../../../test/load.ts';
import { arbitraryStep, happened, type Name, names, type State, shown, tables } from '../../../test/random-stream.ts';
import { applyTarget } from './apply-target.ts';
import type { ApplyMode } from './settings.ts';

const policy = { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' } as const;

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

async function begun(mode: ApplyMode): Promise<ChangeSink> {
  await db.sql('drop schema if exists _millrace cascade; drop schema public cascade; create schema public');
  const sink = await applyTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, { mode }).open(testContext());
  await sink.begin({ owner: { pipeline: 'p', step: 's' }, pipelineRun: 'r', tables, policy }, { key: 'p/s', epoch: 1 });
  return sink;
}

async function applyAll(sink: ChangeSink, groups: readonly Transaction[][], form: string): Promise<void> {
  await db.sql(`truncate ${names.map((name) => `public.${name}`).join(', ')}`);
  await sink.follow(streamOf(), positionAt(1));
  for (const transactions of groups) {
    const group = groupOf(tables as Record<string, Table>, transactions);
    await sink.apply(form === 'text' ? asText(group) : group);
  }
}

const columns = (name: Name) =>
  `id::text, ${name === 'pairs' ? 'part, ' : ''}note, doc::text, code, amount::text, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`;
const times = (groups: readonly Transaction[][]): Map<number, string> =>
  new Map(
    groups.flatMap((group) =>
      groupOf(tables as Record<string, Table>, group).transactions.map((one, at) => [group[at]!.at, one.committedAt]),
    ),
  );

describe.each(['values', 'text'] as const)('as %s', (form) => {
  test('soft deletes keep the last state of each row that was deleted, and the time', { timeout: 60_000 }, async () => {
    await using sink = await begun('soft-delete');
    await fc.assert(
      fc.asyncProperty(fc.array(arbitraryStep, { minLength: 5, maxLength: 50 }), async (steps) => {
        const { groups } = happened(steps);
        await applyAll(sink, groups, form);
        for (const name of names) {
          const stored = await db.sql(
            `select ${columns(name)}, to_char(_deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as gone from public.${name}`,
          );
          const expected = lastStates(groups, name);
          expect(stored.map((row) => `${keyText(row)} ${row['gone']}${row['gone'] === null ? shown(row) : ''}`).sort()).toEqual(expected);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('a history has a version for each transaction that changed a row, one after the other', { timeout: 60_000 }, async () => {
    await using sink = await begun('history');
    await fc.assert(
      fc.asyncProperty(fc.array(arbitraryStep, { minLength: 5, maxLength: 50 }), async (steps) => {
        const { groups, states } = happened(steps);
        await applyAll(sink, groups, form);
        for (const name of names) {
          const time = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
          const stored = await db.sql(
            `select ${columns(name)}, ${time('valid_from')} as f, ${time('valid_to')} as t, is_current as c, _position as p from public.${name}`,
          );
          for (const row of stored) expect(row['c']).toBe(row['t'] === null);
          const found = stored.map((row) => `${row['p']} ${row['f']} ${row['t']} ${shown(row)}`).sort();
          expect(found).toEqual(versions(states, groups, name));
        }
      }),
      { numRuns: 40 },
    );
  });
});

const keyText = (row: Row): string => ('part' in row ? `${String(row['id'])}/${String(row['part'])}` : String(row['id']));

/** Of deleted rows the key and the time are looked at; what else they hold is what they last were. */
function lastStates(groups: readonly Transaction[][], name: Name): string[] {
  const at = times(groups);
  const seen = new Map<string, Row | string>();
  for (const transaction of groups.flat()) {
    const gone = at.get(transaction.at) as string;
    for (const change of transaction.changes) {
      if (change.op === 'truncate' && change.tables.includes(name)) {
        for (const [key, row] of seen) if (typeof row !== 'string') seen.set(key, gone);
      } else if (change.op === 'delete' && change.table === name) seen.set(keyText(change.old), gone);
      else if ((change.op === 'insert' || change.op === 'update') && change.table === name) {
        if (change.op === 'update' && change.old) seen.set(keyText(change.old), gone);
        seen.set(keyText(change.row), change.row);
      }
    }
  }
  return [...seen].map(([key, row]) => `${key} ${typeof row === 'string' ? row : `null${shown(row)}`}`).sort();
}

function versions(states: readonly State[], groups: readonly Transaction[][], name: Name): string[] {
  const at = times(groups);
  const touched = new Map(
    groups
      .flat()
      .map((transaction) => [
        transaction.at,
        new Set(
          transaction.changes.flatMap((change) =>
            (change.op === 'insert' || change.op === 'update') && change.table === name ? [keyText(change.row)] : [],
          ),
        ),
      ]),
  );
  const open = new Map<string, { from: number; row: Row }>();
  const found: string[] = [];
  const close = (key: string, end: number | null) => {
    const version = open.get(key);
    if (!version) return;
    found.push(`${positionAt(version.from)} ${at.get(version.from)} ${end === null ? 'null' : at.get(end)} ${shown(version.row)}`);
    open.delete(key);
  };
  for (const state of states) {
    const now = new Map([...state.rows.get(name)!.values()].map((row) => [keyText(row), row]));
    for (const key of [...open.keys()]) if (!now.has(key) || touched.get(state.at)!.has(key)) close(key, state.at);
    for (const [key, row] of now) if (!open.has(key)) open.set(key, { from: state.at, row });
  }
  for (const key of [...open.keys()]) close(key, null);
  return found.sort();
}
